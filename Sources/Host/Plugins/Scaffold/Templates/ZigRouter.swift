extension Templates {
    /// A router in Zig.
    static let zigRouter = ###"""
//! @NAME@: a router for Keel, in Zig.
//!
//! It sends the parent in at most `slices` children, one after the other. Replace `nextQuantity` with your own schedule;
//! the bookkeeping around it - never more than the parent, a doubt counts as live, no refused child twice - is what
//! `keel plugin check` tests.
const std = @import("std");
const keel = @import("keel");
const c = keel.c;

/// A panic ends the process at once: std's own would change signal handlers, which belong to the host.
pub const panic = std.debug.no_panic;

// Configuration: the member `slices` and the schema.
const schema =
    \\{"type":"object","properties":{
    \\"slices":{"type":"integer","minimum":1,"maximum":100,"default":4,"description":"Into how many children an order is cut."}}}
;

const Child = struct {
    state: u32 = c.KEEL_ORDER_PENDING,
    qty: i64 = 0,
    filled: i64 = 0,
    fn ended(child: Child) bool {
        return child.state >= c.KEEL_ORDER_FILLED and child.state <= c.KEEL_ORDER_EXPIRED;
    }
};

const Parent = struct {
    request: u64 = 0, // 0: this place is free
    order: c.keel_order = std.mem.zeroes(c.keel_order),
    lot: i64 = 0,
    least: i64 = 0,
    most: i64 = 0,
    slice: i64 = 0,
    ending: c.keel_status = c.KEEL_OK, // no more children; how the DONE will read
    rejections: u32 = 0,
    count: usize = 0,
    children: [200]Child = undefined,

    fn downToLot(parent: *const Parent, qty: i64) i64 {
        return if (parent.lot > 0) @divTrunc(qty, parent.lot) * parent.lot else qty;
    }
    fn live(parent: *const Parent) bool {
        for (parent.children[0..parent.count]) |child| if (!child.ended()) return true;
        return false;
    }
    /// What is not yet placed: a live child counts whole, also one in doubt; an ended one with what it filled.
    fn left(parent: *const Parent) i64 {
        var sum = parent.order.qty;
        for (parent.children[0..parent.count]) |child| sum -= if (child.ended()) child.filled else child.qty;
        return sum;
    }
    /// The schedule: equal slices, the remainder with the last one.
    fn nextQuantity(parent: *const Parent) i64 {
        const rest = parent.left();
        var qty = @max(parent.slice, parent.least);
        if (rest - qty < @divTrunc(parent.slice, 2) or rest - qty < parent.least) qty = rest;
        if (parent.most > 0) qty = @min(qty, parent.most);
        return parent.downToLot(qty);
    }
};

const Self = struct {
    host: keel.Host,
    state: keel.State = .created,
    slices: i64 = 4,
    parents: [100]Parent = @splat(Parent{}),

    pub fn init(self: *Self, json: []const u8, fault: *keel.Fault) !void {
        try keel.configure(json, &.{.{ .name = "slices", .into = .{ .integer = .{ .low = 1, .high = 100, .into = &self.slices } } }}, fault);
    }
    pub fn startUp(_: *Self, _: *keel.Fault) !void {}
    pub fn shutDown(self: *Self) void {
        for (&self.parents) |*parent| if (parent.request != 0) self.finish(parent, c.KEEL_E_STATE, "stopped");
    }
    fn finish(self: *Self, parent: *Parent, status: c.keel_status, why: []const u8) void {
        const request = parent.request;
        parent.request = 0;
        self.host.done(request, status, why);
    }
    /// Something about the parent has changed: the next child, or the end.
    fn goOn(self: *Self, parent: *Parent) void {
        if (parent.live()) return;
        if (parent.left() <= 0) return self.finish(parent, c.KEEL_OK, "");
        if (parent.ending == c.KEEL_OK and parent.order.not_after != 0 and self.host.now() > parent.order.not_after) parent.ending = c.KEEL_E_TIMEOUT;
        if (parent.ending == c.KEEL_OK and (parent.rejections >= 3 or parent.count == parent.children.len)) parent.ending = c.KEEL_E_REJECTED;
        if (parent.ending != c.KEEL_OK) return self.finish(parent, parent.ending, "not all of it was placed");
        const qty = parent.nextQuantity();
        if (qty <= 0 or qty < parent.least) return self.finish(parent, c.KEEL_OK, "the rest is below the minimum");
        parent.children[parent.count] = .{ .qty = qty };
        parent.count += 1;
        const Both = extern struct { event: c.keel_ev_child, order: c.keel_order };
        var both = Both{ .event = std.mem.zeroes(c.keel_ev_child), .order = parent.order }; // same side, instrument, limit and not_after
        both.order.struct_size = @sizeOf(c.keel_order);
        both.order.id.lo |= parent.count; // the parent's id plus the leg, from 1
        both.order.qty = qty;
        both.event.head.instrument = parent.order.instrument;
        both.event.head.request = parent.request;
        both.event.order = .{ .off = @sizeOf(c.keel_ev_child), .len = @sizeOf(c.keel_order) };
        self.host.emit(&both, c.KEEL_EV_CHILD, 0, &.{}, &.{});
    }
};

fn route(instance: ?*c.keel_instance, order: [*c]const c.keel_order, request: u64, err: [*c]c.keel_error) callconv(.c) c.keel_status {
    var fault = keel.Fault{};
    return fault.answer(doRoute(keel.me(Self, instance), order, request, &fault), err);
}

fn doRoute(self: *Self, order: *const c.keel_order, request: u64, fault: *keel.Fault) !void {
    try keel.needsRunning(self.state, fault);
    // Strict: what we don't know, we refuse.
    const known = c.KEEL_ORD_MARKET | c.KEEL_ORD_LIMIT | c.KEEL_ORD_POST_ONLY | c.KEEL_ORD_REDUCE_ONLY | c.KEEL_ORD_IOC;
    if (order.features & ~@as(u64, known) != 0) return fault.refuse(c.KEEL_E_UNSUPPORTED, "the order has features this router doesn't know", .{});
    try keel.refuseUnknownTail(order, fault);
    if (order.qty <= 0) return fault.refuse(c.KEEL_E_RANGE, "qty must be above 0", .{});
    if (order.not_after != 0 and self.host.now() > order.not_after) return fault.refuse(c.KEEL_E_TIMEOUT, "not_after has passed", .{});
    const about = try self.host.instrument(order.instrument, fault);
    for (&self.parents) |*parent| {
        if (parent.request != 0) continue;
        parent.* = .{ .request = request, .order = order.*, .lot = about.lot, .least = about.min_qty, .most = about.max_qty };
        parent.slice = parent.downToLot(@divTrunc(order.qty, self.slices));
        return self.goOn(parent);
    }
    return fault.refuse(c.KEEL_E_AGAIN, "too many parents at once", .{});
}

fn onEvent(instance: ?*c.keel_instance, event: [*c]const c.keel_event) callconv(.c) void {
    const self = keel.me(Self, instance);
    if (self.state != .running or event.*.kind != c.KEEL_EV_ORDER or event.*.size < @sizeOf(c.keel_ev_order)) return;
    const report: *const c.keel_ev_order = @ptrCast(event);
    const leg = report.order.lo & 0xffff;
    for (&self.parents) |*parent| {
        if (parent.request == 0 or parent.order.id.hi != report.order.hi or parent.order.id.lo >> 16 != report.order.lo >> 16) continue;
        if (leg < 1 or leg > parent.count) return;
        const child = &parent.children[leg - 1];
        if (child.ended()) return; // told twice
        child.filled = @max(child.filled, report.filled); // cumulative: the highest is the newest
        child.state = report.state;
        if (report.state == c.KEEL_ORDER_REJECTED) {
            // By the venue or by the host's risk gate: never the same again, and not for ever.
            parent.rejections += 1;
            parent.slice = parent.downToLot(@divTrunc(parent.slice, 2));
        }
        return self.goOn(parent);
    }
}

fn cancel(instance: ?*c.keel_instance, request: u64) callconv(.c) void {
    const self = keel.me(Self, instance);
    if (self.state != .running or request == 0) return;
    for (&self.parents) |*parent| {
        if (parent.request != request or parent.ending != c.KEEL_OK) continue;
        parent.ending = c.KEEL_E_REJECTED;
        for (parent.children[0..parent.count], 1..) |child, leg| {
            if (child.ended()) continue;
            var event = std.mem.zeroes(c.keel_ev_child_cancel);
            event.head.instrument = parent.order.instrument;
            event.head.request = request;
            event.order = parent.order.id;
            event.order.lo |= leg;
            self.host.emit(&event, c.KEEL_EV_CHILD_CANCEL, 0, &.{}, &.{});
        }
        return self.goOn(parent); // nothing live: done at once; otherwise after the last child has ended
    }
}

const table = c.keel_router{ .struct_size = @sizeOf(c.keel_router), .reserved = 0, .route = route, .on_event = onEvent, .cancel = cancel };
const interfaces = [_]c.keel_interface{.{ .id = c.KEEL_ROUTER, .table = &table }};
const component align(8) = keel.component(Self, "@ID@", "@NAME@", &interfaces, schema, c.KEEL_COMPONENT_INLINE | c.KEEL_COMPONENT_DETERMINISTIC);
const components = [_][*c]const c.keel_component{&component};
const library = c.keel_library{ .struct_size = @sizeOf(c.keel_library), .abi_major = 1, .abi_minor = 0, .components = &components, .component_count = 1, .reserved = 0 };

export fn keel_plugin_entry(abi_major: u32) ?*const c.keel_library {
    return if (abi_major == c.KEEL_ABI_MAJOR) &library else null;
}

"""###
}
