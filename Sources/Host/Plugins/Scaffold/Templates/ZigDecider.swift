extension Templates {
    /// A decider in Zig.
    static let zigDecider = ###"""
//! @NAME@: a decider for Keel, in Zig.
//!
//! It compares the last price with the mean of the newest bars and buys above it, sells below it, within what the
//! snapshot allows. Replace `judge` with your own idea; what stands around it is what `keel plugin check` tests.
const std = @import("std");
const keel = @import("keel");
const c = keel.c;

/// A panic ends the process at once: std's own would change signal handlers, which belong to the host.
pub const panic = std.debug.no_panic;

// Configuration: the member `bars` and the schema.
const schema =
    \\{"type":"object","properties":{
    \\"bars":{"type":"integer","minimum":2,"maximum":500,"default":20,"description":"How many of the newest bars make the mean."}}}
;

const Self = struct {
    host: keel.Host,
    state: keel.State = .created,
    bars: i64 = 20,

    pub fn init(self: *Self, json: []const u8, fault: *keel.Fault) !void {
        try keel.configure(json, &.{.{ .name = "bars", .into = .{ .integer = .{ .low = 2, .high = 500, .into = &self.bars } } }}, fault);
    }
    pub fn startUp(_: *Self, _: *keel.Fault) !void {}
    pub fn shutDown(_: *Self) void {}
};

const Verdict = struct { action: u32 = c.KEEL_ACT_HOLD, confidence: i64 = 0, reason: []const u8 = "no bars to compare with" };

/// The idea. Lists lie behind the struct, at offsets from its start; the shortest bars come first.
fn judge(wanted: usize, snapshot: *const c.keel_snapshot) Verdict {
    if (snapshot.series.count == 0) return .{};
    const block: [*]const u8 = @ptrCast(snapshot);
    const series: *const c.keel_series = @ptrCast(@alignCast(block + snapshot.series.off));
    if (series.bars.count < wanted) return .{};
    const bars: [*]const c.keel_bar = @ptrCast(@alignCast(block + series.bars.off));
    var mean: f64 = 0;
    for (bars[series.bars.count - wanted .. series.bars.count]) |bar| mean += @as(f64, @floatFromInt(bar.close)) / @as(f64, @floatFromInt(wanted));
    const last: f64 = @floatFromInt(snapshot.last);
    if (last > mean) return .{ .action = c.KEEL_ACT_BUY, .confidence = keel.one / 2, .reason = "the price is above the mean" };
    if (last < mean) return .{ .action = c.KEEL_ACT_SELL, .confidence = keel.one / 2, .reason = "the price is below the mean" };
    return .{ .confidence = keel.one / 2, .reason = "the price is at the mean" };
}

/// Never beyond what the snapshot allows: the host would refuse it, and record that.
fn isAllowed(snapshot: *const c.keel_snapshot, action: u32) bool {
    const flat = snapshot.position.hi < 0 or (snapshot.position.hi == 0 and snapshot.position.lo == 0);
    if (action == c.KEEL_ACT_BUY) return snapshot.allowed & c.KEEL_MAY_BUY != 0;
    if (action == c.KEEL_ACT_SELL) return snapshot.allowed & c.KEEL_MAY_SELL != 0 and (!flat or snapshot.allowed & c.KEEL_MAY_SHORT != 0);
    return true;
}

fn decide(instance: ?*c.keel_instance, snapshot: [*c]const c.keel_snapshot, deadline: i64, request: u64, err: [*c]c.keel_error) callconv(.c) c.keel_status {
    var fault = keel.Fault{};
    return fault.answer(doDecide(keel.me(Self, instance), snapshot, deadline, request, &fault), err);
}

fn doDecide(self: *Self, snapshot: *const c.keel_snapshot, deadline: i64, request: u64, fault: *keel.Fault) !void {
    try keel.needsRunning(self.state, fault);
    if (snapshot.struct_size < @sizeOf(c.keel_snapshot)) return fault.refuse(c.KEEL_E_INVALID, "the snapshot is too short", .{});
    if (deadline != 0 and self.host.now() >= deadline) return self.host.done(request, c.KEEL_E_TIMEOUT, "the deadline has passed");
    const verdict = judge(@intCast(self.bars), snapshot);
    const action = if (isAllowed(snapshot, verdict.action)) verdict.action else c.KEEL_ACT_HOLD;
    var decision = std.mem.zeroes(c.keel_ev_decision);
    decision.head.instrument = snapshot.instrument;
    decision.head.request = request;
    decision.action = action;
    decision.snapshot = snapshot.hash;
    decision.fraction = if (action == c.KEEL_ACT_HOLD) 0 else std.math.clamp(snapshot.max_fraction, 0, keel.one);
    decision.confidence = verdict.confidence;
    decision.exit_probability = -1; // not said
    self.host.emit(&decision, c.KEEL_EV_DECISION, 0, &.{&decision.reason}, &.{verdict.reason});
    self.host.done(request, c.KEEL_OK, "");
}

fn cancel(_: ?*c.keel_instance, _: u64) callconv(.c) void {} // decide answers at once: nothing is ever open

const table = c.keel_decider{ .struct_size = @sizeOf(c.keel_decider), .bars_wanted = 60, .wants = c.KEEL_WANT_BARS, .decide = decide, .cancel = cancel, .observe = null };
const interfaces = [_]c.keel_interface{.{ .id = c.KEEL_DECIDER, .table = &table }};
const component align(8) = keel.component(Self, "@ID@", "@NAME@", &interfaces, schema, c.KEEL_COMPONENT_INLINE | c.KEEL_COMPONENT_DETERMINISTIC);
const components = [_][*c]const c.keel_component{&component};
const library = c.keel_library{ .struct_size = @sizeOf(c.keel_library), .abi_major = 1, .abi_minor = 0, .components = &components, .component_count = 1, .reserved = 0 };

export fn keel_plugin_entry(abi_major: u32) ?*const c.keel_library {
    return if (abi_major == c.KEEL_ABI_MAJOR) &library else null;
}

"""###
}
