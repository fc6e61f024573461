extension Templates {
    /// A feed in Zig.
    static let zigFeed = ###"""
//! @NAME@: a feed for Keel, in Zig.
//!
//! It makes up a market: a price that walks up and down, one quote an instrument every `every` milliseconds of the host's
//! clock. Replace `walk` with your data source; `keel.Line` is a connection that never blocks and comes back by itself.
const std = @import("std");
const keel = @import("keel");
const c = keel.c;

/// A panic ends the process at once: std's own would change signal handlers, which belong to the host.
pub const panic = std.debug.no_panic;

// Configuration: the member `every` and the schema.
const schema =
    \\{"type":"object","properties":{
    \\"every":{"type":"integer","minimum":1,"maximum":60000,"default":100,"x-unit":"ms","description":"Time between two quotes."}}}
;

const Stream = struct { tick: i64, price: i64, steps: u64 = 0 };

const Self = struct {
    host: keel.Host,
    state: keel.State = .created,
    every: i64 = 100,
    pace: u64 = 0,
    streams: std.AutoArrayHashMapUnmanaged(u32, Stream) = .empty,

    pub fn init(self: *Self, json: []const u8, fault: *keel.Fault) !void {
        try keel.configure(json, &.{.{ .name = "every", .into = .{ .integer = .{ .low = 1, .high = 60000, .into = &self.every } } }}, fault);
    }
    pub fn deinit(self: *Self) void {
        self.streams.deinit(std.heap.c_allocator);
    }
    pub fn startUp(self: *Self, fault: *keel.Fault) !void {
        self.pace = self.host.timer(self.every * 1_000_000, self.every * 1_000_000, 0);
        if (self.pace == 0) return fault.refuse(c.KEEL_E_INTERNAL, "the host gave no timer", .{});
        self.host.link(c.KEEL_LINK_UP, c.KEEL_OK, "market");
    }
    pub fn shutDown(self: *Self) void {
        self.host.stopTimer(self.pace);
        self.streams.clearAndFree(std.heap.c_allocator);
    }
    pub fn onTimer(self: *Self, _: u64) void {
        for (self.streams.keys(), self.streams.values()) |id, *stream| {
            walk(id, stream);
            var quote = std.mem.zeroes(c.keel_ev_quote);
            quote.head.instrument = id;
            quote.head.at_source = self.host.now();
            quote.bid = stream.price;
            quote.ask = stream.price + stream.tick;
            quote.bid_qty = @as(i64, @intCast(1 + stream.steps % 7)) * keel.one;
            quote.ask_qty = quote.bid_qty;
            self.host.emit(&quote, c.KEEL_EV_QUOTE, 0, &.{}, &.{});
        }
    }
};

/// The next price: a walk that looks random and is the same each time.
fn walk(id: u32, stream: *Stream) void {
    stream.steps += 1;
    const mixed = (stream.steps + id) *% 0x9e3779b97f4a7c15;
    stream.price = @max(1000 * stream.tick, stream.price + @as(i64, @intCast(mixed >> 62)) * stream.tick - stream.tick);
}

fn subscribe(instance: ?*c.keel_instance, id: u32, channels: u64, request: u64, err: [*c]c.keel_error) callconv(.c) c.keel_status {
    var fault = keel.Fault{};
    return fault.answer(doSubscribe(keel.me(Self, instance), id, channels, request, &fault), err);
}

fn doSubscribe(self: *Self, id: u32, channels: u64, request: u64, fault: *keel.Fault) !void {
    try keel.needsRunning(self.state, fault);
    if (channels & ~@as(u64, c.KEEL_CH_QUOTES) != 0 or channels == 0) return fault.refuse(c.KEEL_E_UNSUPPORTED, "this feed has quotes only", .{});
    const about = try self.host.instrument(id, fault);
    const tick = if (about.tick > 0) about.tick else keel.one / 100;
    const found = try self.streams.getOrPut(std.heap.c_allocator, id);
    if (!found.found_existing) found.value_ptr.* = .{ .tick = tick, .price = tick * 10_000 }; // a second time changes nothing
    self.host.done(request, c.KEEL_OK, "");
}

fn unsubscribe(instance: ?*c.keel_instance, id: u32, _: u64, request: u64, err: [*c]c.keel_error) callconv(.c) c.keel_status {
    var fault = keel.Fault{};
    const self = keel.me(Self, instance);
    keel.needsRunning(self.state, &fault) catch |problem| return fault.answer(problem, err);
    _ = self.streams.swapRemove(id);
    self.host.done(request, c.KEEL_OK, "");
    return c.KEEL_OK;
}

const table = c.keel_feed{ .struct_size = @sizeOf(c.keel_feed), .reserved = 0, .channels = c.KEEL_CH_QUOTES, .silence = 0, .subscribe = subscribe, .unsubscribe = unsubscribe };
const interfaces = [_]c.keel_interface{.{ .id = c.KEEL_FEED, .table = &table }};
const component align(8) = keel.component(Self, "@ID@", "@NAME@", &interfaces, schema, 0);
const components = [_][*c]const c.keel_component{&component};
const library = c.keel_library{ .struct_size = @sizeOf(c.keel_library), .abi_major = 1, .abi_minor = 0, .components = &components, .component_count = 1, .reserved = 0 };

export fn keel_plugin_entry(abi_major: u32) ?*const c.keel_library {
    return if (abi_major == c.KEEL_ABI_MAJOR) &library else null;
}

"""###
}
