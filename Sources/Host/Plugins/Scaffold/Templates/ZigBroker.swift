extension Templates {
    /// A broker in Zig.
    static let zigBroker = ###"""
//! @NAME@: a broker for Keel, in Zig.
//!
//! It talks to a venue that speaks lines of text, recorded in mock/venue.json. Replace the two halves marked VENUE with
//! your venue's protocol; what stands around them - the checks before an order leaves, the order of events, what happens
//! when the connection drops - is what `keel plugin check` tests.
//!
//!   to the venue                              from the venue
//!   LOGIN key                                 WELCOME | DENIED
//!   NEW id symbol side kind qty limit         ACK id | REJECT id why | FILL id fill-id qty price fee
//!   CANCEL id                                 CANCELED id | NOCANCEL id why
//!   SYNC                                      ORDER id side qty state limit | FILL ... | BALANCE asset total | END
const std = @import("std");
const keel = @import("keel");
const c = keel.c;

/// A panic ends the process at once: std's own would change signal handlers, which belong to the host.
pub const panic = std.debug.no_panic;
const allocator = std.heap.c_allocator;

const features: u64 = c.KEEL_ORD_MARKET | c.KEEL_ORD_LIMIT; // everything submit takes

// Configuration: the members port, patience and secret, and the schema.
const schema =
    \\{"type":"object","required":["port","key"],"properties":{
    \\"port":{"type":"integer","minimum":1,"maximum":65535,"description":"Port of the venue on this machine."},
    \\"patience":{"type":"integer","minimum":1,"maximum":600,"default":5,"x-unit":"s","description":"How long to wait for an acknowledgement."},
    \\"key":{"type":"object","x-secret":true,"description":"The API key."}}}
;

const Order = struct {
    id: c.keel_id,
    instrument: u32 = 1,
    side: u32 = 0,
    state: u32 = c.KEEL_ORDER_PENDING,
    qty: i64 = 0,
    limit: i64 = 0,
    filled: i64 = 0,
    notional: i128 = 0, // sum of quantity x price, for an exact average
    submit: u64 = 0, // requests still waiting for their DONE, 0 = none
    cancel: u64 = 0,
    timer: u64 = 0, // runs while we wait for the acknowledgement
    fills: [32]u64 = undefined, // hashes of ids already counted: venues repeat themselves
    fill_count: usize = 0,

    fn ended(order: *const Order) bool {
        return order.state >= c.KEEL_ORDER_FILLED and order.state <= c.KEEL_ORDER_EXPIRED;
    }
};

const Self = struct {
    host: keel.Host,
    state: keel.State = .created,
    port: i64 = 0,
    patience: i64 = 5,
    secret: keel.Text = .{},
    key: keel.Text = .{},
    line: keel.Line(Self) = .{},
    ready: bool = false, // logged in
    syncing: u64 = 0, // the open sync's request, 0 = none
    orders: std.ArrayListUnmanaged(*Order) = .empty,

    // ---- life

    pub fn init(self: *Self, json: []const u8, fault: *keel.Fault) !void {
        try keel.configure(json, &.{
            .{ .name = "port", .required = true, .into = .{ .integer = .{ .low = 1, .high = 65535, .into = &self.port } } },
            .{ .name = "patience", .into = .{ .integer = .{ .low = 1, .high = 600, .into = &self.patience } } },
            .{ .name = "key", .required = true, .into = .{ .secret = &self.secret } },
        }, fault);
    }
    pub fn deinit(self: *Self) void {
        for (self.orders.items) |order| allocator.destroy(order);
        self.orders.deinit(allocator);
    }
    fn keepKey(writer: [*c]const c.keel_writer, from: ?*const anyopaque, length: usize) callconv(.c) c.keel_status {
        const key: *keel.Text = @ptrCast(@alignCast(writer.*.ctx));
        if (key.length + length > key.buffer.len) return c.KEEL_E_RANGE;
        if (length > 0) @memcpy(key.buffer[key.length .. key.length + length], @as([*]const u8, @ptrCast(from.?))[0..length]);
        key.length += length;
        return c.KEEL_OK;
    }
    pub fn startUp(self: *Self, fault: *keel.Fault) !void {
        self.key = .{};
        const writer = c.keel_writer{ .ctx = &self.key, .write = keepKey };
        if (self.host.table.secret.?(self.host.table, keel.str(self.secret.slice()), &writer) != c.KEEL_OK)
            return fault.refuse(c.KEEL_E_AUTH, "the secret \"{s}\" is missing", .{self.secret.slice()});
        self.line.open(self.host, self, @intCast(self.port));
    }
    pub fn shutDown(self: *Self) void {
        self.line.close();
        self.ready = false;
        if (self.syncing != 0) self.host.done(self.syncing, c.KEEL_E_STATE, "stopped");
        self.syncing = 0;
        self.giveUp("stopped");
    }
    pub fn onTimer(self: *Self, id: u64) void {
        if (self.line.timer(id)) return;
        for (self.orders.items) |order| {
            if (order.timer != id) continue;
            order.timer = 0;
            if (order.state != c.KEEL_ORDER_PENDING) return;
            self.tell(order, c.KEEL_ORDER_IN_DOUBT, 0); // a late answer still puts this right
            return self.endSubmit(order, c.KEEL_E_IN_DOUBT, "no acknowledgement yet");
        }
    }
    pub fn onFd(self: *Self, bits: u32) void {
        self.line.ready(bits);
    }

    // ---- events

    fn find(self: *Self, id: c.keel_id) ?*Order {
        for (self.orders.items) |order| if (order.id.hi == id.hi and order.id.lo == id.lo) return order;
        return null;
    }
    fn add(self: *Self, id: c.keel_id) !*Order {
        const order = try allocator.create(Order);
        errdefer allocator.destroy(order);
        order.* = .{ .id = id };
        try self.orders.append(allocator, order);
        return order;
    }
    fn tell(self: *Self, order: *Order, state: u32, flags: u32) void {
        order.state = state;
        var event = std.mem.zeroes(c.keel_ev_order);
        event.head.instrument = order.instrument;
        event.order = order.id;
        event.state = state;
        event.side = order.side;
        event.filled = order.filled; // cumulative, never deltas
        event.leaves = order.qty - order.filled;
        event.average = if (order.filled == 0) 0 else @intCast(@divTrunc(order.notional * 2 + order.filled, @as(i128, order.filled) * 2));
        event.limit = order.limit;
        self.host.emit(&event, c.KEEL_EV_ORDER, flags, &.{}, &.{});
    }
    fn endSubmit(self: *Self, order: *Order, status: c.keel_status, why: []const u8) void {
        if (order.timer != 0) self.host.stopTimer(order.timer);
        order.timer = 0;
        const request = order.submit;
        order.submit = 0;
        if (request != 0) self.host.done(request, status, why);
    }
    fn endCancel(self: *Self, order: *Order, status: c.keel_status, why: []const u8) void {
        const request = order.cancel;
        order.cancel = 0;
        if (request != 0) self.host.done(request, status, why);
    }
    /// What has no answer may have arrived. Never call that rejected, never send it again: the host will sync.
    fn giveUp(self: *Self, why: []const u8) void {
        for (self.orders.items) |order| {
            self.endCancel(order, c.KEEL_E_IN_DOUBT, why);
            if (order.state == c.KEEL_ORDER_PENDING) self.tell(order, c.KEEL_ORDER_IN_DOUBT, 0);
            self.endSubmit(order, c.KEEL_E_IN_DOUBT, why);
        }
    }

    // ---- VENUE, first half: what it says

    pub fn onLink(self: *Self, up: bool) void {
        if (up) {
            var text: [160]u8 = undefined;
            _ = self.line.send(std.fmt.bufPrint(&text, "LOGIN {s}\n", .{self.key.slice()}) catch return);
            return;
        }
        self.ready = false;
        const request = self.syncing;
        self.syncing = 0;
        self.host.link(c.KEEL_LINK_DOWN, c.KEEL_E_NETWORK, "venue");
        if (request != 0) self.host.done(request, c.KEEL_E_NETWORK, "the connection was lost");
        self.giveUp("the connection was lost");
    }
    pub fn onLine(self: *Self, text: []const u8) void {
        // Lenient with what comes: say so and go on.
        self.understand(text) catch self.host.log(c.KEEL_LOG_WARN, "the venue said something unknown: {s}", .{text[0..@min(text.len, 100)]});
    }
    fn understand(self: *Self, text: []const u8) !void {
        var words = std.mem.tokenizeScalar(u8, text, ' ');
        var word: [7][]const u8 = @splat("");
        for (&word) |*one| one.* = words.next() orelse break;
        const flags: u32 = if (self.syncing != 0) c.KEEL_EVF_SNAPSHOT else 0;
        const kind = std.meta.stringToEnum(enum { WELCOME, DENIED, END, BALANCE, ORDER, ACK, REJECT, FILL, CANCELED, NOCANCEL }, word[0]) orelse return error.Unknown;
        switch (kind) {
            .WELCOME => {
                self.ready = true;
                return self.host.link(c.KEEL_LINK_UP, c.KEEL_OK, "venue");
            },
            .DENIED => return self.host.link(c.KEEL_LINK_DOWN, c.KEEL_E_AUTH, "venue"),
            .END => {
                const request = self.syncing;
                self.syncing = 0;
                if (request != 0) self.host.done(request, c.KEEL_OK, "");
                return;
            },
            .BALANCE => {
                const total = keel.parseDecimal(word[2]) orelse return error.Unknown;
                var event = std.mem.zeroes(c.keel_ev_balance);
                event.total = .{ .lo = @bitCast(total), .hi = if (total < 0) -1 else 0 };
                event.available = event.total;
                return self.host.emit(&event, c.KEEL_EV_BALANCE, flags, &.{&event.asset}, &.{word[1]});
            },
            else => {},
        }
        const id = parseId(word[1]) orelse return error.Unknown;
        if (kind == .ORDER) {
            // Part of a sync. It may be an order of a run before this one: then this is how we learn of it.
            const order = self.find(id) orelse try self.add(id);
            order.side = if (std.mem.eql(u8, word[2], "buy")) c.KEEL_BUY else c.KEEL_SELL;
            order.qty = keel.parseDecimal(word[3]) orelse return error.Unknown;
            order.limit = keel.parseDecimal(word[5]) orelse return error.Unknown;
            if (std.mem.eql(u8, word[4], "open")) self.tell(order, if (order.ended()) order.state else c.KEEL_ORDER_OPEN, c.KEEL_EVF_SNAPSHOT);
            return;
        }
        const order = self.find(id) orelse return error.Unknown;
        switch (kind) {
            .ACK => {
                if (order.state == c.KEEL_ORDER_PENDING or order.state == c.KEEL_ORDER_IN_DOUBT) self.tell(order, c.KEEL_ORDER_OPEN, 0);
                self.endSubmit(order, c.KEEL_OK, "");
            },
            .REJECT => {
                if (!order.ended()) self.tell(order, c.KEEL_ORDER_REJECTED, 0);
                self.endSubmit(order, c.KEEL_E_REJECTED, word[2]);
            },
            .FILL => try self.onFill(order, word[2], keel.parseDecimal(word[3]), keel.parseDecimal(word[4]), keel.parseDecimal(word[5]), flags),
            .CANCELED => {
                if (!order.ended()) self.tell(order, c.KEEL_ORDER_CANCELED, 0);
                self.endSubmit(order, c.KEEL_OK, "");
                self.endCancel(order, c.KEEL_OK, "");
            },
            else => self.endCancel(order, c.KEEL_E_REJECTED, word[2]),
        }
    }
    fn onFill(self: *Self, order: *Order, fill_id: []const u8, qty: ?i64, price: ?i64, fee: ?i64, flags: u32) !void {
        if (qty == null or price == null or fee == null) return error.Unknown;
        const hash = std.hash.Wyhash.hash(0, fill_id);
        const fresh = std.mem.indexOfScalar(u64, order.fills[0..order.fill_count], hash) == null;
        if (!fresh and flags == 0) return;
        if (fresh) {
            if (order.fill_count == order.fills.len) return error.TooManyFills;
            order.fills[order.fill_count] = hash;
            order.fill_count += 1;
            order.filled = try std.math.add(i64, order.filled, qty.?);
            order.notional += @as(i128, qty.?) * price.?;
        }
        var event = std.mem.zeroes(c.keel_ev_fill);
        event.head.instrument = order.instrument;
        event.order = order.id;
        event.qty = qty.?;
        event.price = price.?;
        event.fee = .{ .lo = @bitCast(fee.?), .hi = if (fee.? < 0) -1 else 0 };
        event.side = order.side;
        event.liquidity = c.KEEL_LIQUIDITY_TAKER;
        self.host.emit(&event, c.KEEL_EV_FILL, flags, &.{ &event.fee_asset, &event.fill_id }, &.{ "USDT", fill_id });
        if (!fresh) return;
        self.tell(order, if (order.filled >= order.qty) c.KEEL_ORDER_FILLED else c.KEEL_ORDER_OPEN, flags);
        if (order.state != c.KEEL_ORDER_FILLED) return;
        self.endSubmit(order, c.KEEL_OK, "");
        self.endCancel(order, c.KEEL_E_REJECTED, "the order was filled first");
    }

    // ---- the broker's functions; VENUE, second half: what it is told

    fn check(self: *Self, order: *const c.keel_order, fault: *keel.Fault) !c.keel_instrument {
        const kind = order.features & features;
        if (order.features & ~features != 0 or (kind != c.KEEL_ORD_MARKET and kind != c.KEEL_ORD_LIMIT)) return fault.refuse(c.KEEL_E_UNSUPPORTED, "only plain market and limit orders", .{});
        try keel.refuseUnknownTail(order, fault);
        if (order.side != c.KEEL_BUY and order.side != c.KEEL_SELL) return fault.refuse(c.KEEL_E_INVALID, "side must be buy or sell", .{});
        const about = try self.host.instrument(order.instrument, fault);
        if (about.venue_symbol.len == 0) return fault.refuse(c.KEEL_E_INVALID, "the instrument needs a venue symbol", .{});
        if (order.qty <= 0) return fault.refuse(c.KEEL_E_RANGE, "qty must be above 0", .{});
        if (about.lot > 0 and @rem(order.qty, about.lot) != 0) return fault.refuse(c.KEEL_E_RANGE, "qty is no multiple of the lot", .{});
        if (about.min_qty > 0 and order.qty < about.min_qty) return fault.refuse(c.KEEL_E_RANGE, "qty is below min_qty", .{});
        if (about.max_qty > 0 and order.qty > about.max_qty) return fault.refuse(c.KEEL_E_RANGE, "qty is above max_qty", .{});
        if (kind == c.KEEL_ORD_LIMIT and order.limit <= 0) return fault.refuse(c.KEEL_E_RANGE, "limit must be above 0", .{});
        if (kind == c.KEEL_ORD_LIMIT and about.tick > 0 and @rem(order.limit, about.tick) != 0) return fault.refuse(c.KEEL_E_RANGE, "limit is no multiple of the tick", .{});
        if (order.not_after != 0 and self.host.now() > order.not_after) return fault.refuse(c.KEEL_E_TIMEOUT, "not_after has passed", .{});
        return about;
    }
    fn doSubmit(self: *Self, wanted: *const c.keel_order, request: u64, fault: *keel.Fault) !void {
        try keel.needsRunning(self.state, fault);
        const about = try self.check(wanted, fault);
        if (self.find(wanted.id) != null) return fault.refuse(c.KEEL_E_DUPLICATE, "this order id was used before", .{});
        if (!self.ready) return fault.refuse(c.KEEL_E_NETWORK, "not connected", .{});
        const order = try self.add(wanted.id);
        order.instrument = wanted.instrument;
        order.side = wanted.side;
        order.qty = wanted.qty;
        order.limit = wanted.limit;
        order.submit = request;
        self.tell(order, c.KEEL_ORDER_PENDING, 0);
        // The host's id travels as the venue's client order id. A venue without such a field needs host.put here, before
        // the first byte leaves, and host.get in sync.
        var text: [300]u8 = undefined;
        var qty: [32]u8 = undefined;
        var limit: [32]u8 = undefined;
        const line = try std.fmt.bufPrint(&text, "NEW {x:0>16}{x:0>16} {s} {s} {s} {s} {s}\n", .{
            wanted.id.hi,                                  wanted.id.lo,
            keel.bytes(about.venue_symbol),                if (wanted.side == c.KEEL_BUY) "buy" else "sell",
            if (wanted.features & c.KEEL_ORD_MARKET != 0) "market" else "limit", keel.decimal(wanted.qty, &qty),
            keel.decimal(wanted.limit, &limit),
        });
        if (!self.line.send(line)) {
            _ = self.orders.pop();
            allocator.destroy(order);
            return fault.refuse(c.KEEL_E_NETWORK, "not connected", .{});
        }
        if (order.state == c.KEEL_ORDER_PENDING) order.timer = self.host.timer(self.patience * 1_000_000_000, 0, 1);
    }
    fn doCancel(self: *Self, id: c.keel_id, request: u64, fault: *keel.Fault) !void {
        try keel.needsRunning(self.state, fault);
        const order = self.find(id) orelse return fault.refuse(c.KEEL_E_NOT_FOUND, "no such order", .{});
        if (order.ended()) return fault.refuse(c.KEEL_E_REJECTED, "the order has ended", .{});
        if (order.cancel != 0) return fault.refuse(c.KEEL_E_DUPLICATE, "a cancel is on its way already", .{});
        var text: [64]u8 = undefined;
        const line = try std.fmt.bufPrint(&text, "CANCEL {x:0>16}{x:0>16}\n", .{ id.hi, id.lo });
        if (!self.ready or !self.line.send(line)) return fault.refuse(c.KEEL_E_NETWORK, "not connected", .{});
        order.cancel = request;
    }
    fn doSync(self: *Self, request: u64, fault: *keel.Fault) !void {
        try keel.needsRunning(self.state, fault);
        if (self.syncing != 0) return fault.refuse(c.KEEL_E_AGAIN, "a sync is running already", .{});
        if (!self.ready or !self.line.send("SYNC\n")) return fault.refuse(c.KEEL_E_NETWORK, "not connected", .{});
        self.syncing = request; // this venue tells everything it has, whatever `since` says
    }
};

fn parseId(text: []const u8) ?c.keel_id {
    if (text.len != 32) return null;
    return .{ .hi = std.fmt.parseInt(u64, text[0..16], 16) catch return null, .lo = std.fmt.parseInt(u64, text[16..], 16) catch return null };
}

fn submit(instance: ?*c.keel_instance, order: [*c]const c.keel_order, request: u64, err: [*c]c.keel_error) callconv(.c) c.keel_status {
    var fault = keel.Fault{};
    return fault.answer(keel.me(Self, instance).doSubmit(order, request, &fault), err);
}
fn cancel(instance: ?*c.keel_instance, id: c.keel_id, request: u64, err: [*c]c.keel_error) callconv(.c) c.keel_status {
    var fault = keel.Fault{};
    return fault.answer(keel.me(Self, instance).doCancel(id, request, &fault), err);
}
fn sync(instance: ?*c.keel_instance, _: c.keel_time, request: u64, err: [*c]c.keel_error) callconv(.c) c.keel_status {
    var fault = keel.Fault{};
    return fault.answer(keel.me(Self, instance).doSync(request, &fault), err);
}

/// "live" once its endpoints move money: the host trades live with no other, and never by accident with that one.
fn describe(_: ?*c.keel_instance, out: [*c]const c.keel_writer) callconv(.c) c.keel_status {
    const text = "{\"environment\":\"paper\"}";
    return out.*.write.?(out, text, text.len);
}

const description = c.keel_describe{ .struct_size = @sizeOf(c.keel_describe), .reserved = 0, .describe = describe };
const table = c.keel_broker{ .struct_size = @sizeOf(c.keel_broker), .reserved = 0, .order_features = features, .submit = submit, .cancel = cancel, .replace = null, .sync = sync };
const interfaces = [_]c.keel_interface{ .{ .id = c.KEEL_BROKER, .table = &table }, .{ .id = c.KEEL_DESCRIBE, .table = &description } };
const component align(8) = keel.component(Self, "@ID@", "@NAME@", &interfaces, schema, 0);
const components = [_][*c]const c.keel_component{&component};
const library = c.keel_library{ .struct_size = @sizeOf(c.keel_library), .abi_major = 1, .abi_minor = 0, .components = &components, .component_count = 1, .reserved = 0 };

export fn keel_plugin_entry(abi_major: u32) ?*const c.keel_library {
    return if (abi_major == c.KEEL_ABI_MAJOR) &library else null;
}

"""###
}
