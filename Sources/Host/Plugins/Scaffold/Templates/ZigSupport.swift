extension Templates {
    /// keel/keel.zig: helpers.
    static let zigHelpers = ###"""
//! Small helpers over keel.h. Written by `keel plugin new`; --upgrade replaces this file, so keep your own code elsewhere.
const std = @import("std");
pub const c = @import("c");
const posix = std.posix;

pub const one: i64 = 100_000_000;

/// A refusal on its way to keel_error: a status and a message.
pub const Fault = struct {
    status: c.keel_status = c.KEEL_E_INTERNAL,
    text: [256]u8 = undefined,
    length: usize = 0,

    pub fn refuse(fault: *Fault, status: c.keel_status, comptime format: []const u8, values: anytype) error{Refused} {
        fault.status = status;
        const text = std.fmt.bufPrint(&fault.text, format, values) catch fault.text[0..0];
        fault.length = text.len;
        return error.Refused;
    }

    /// Rule 3: never past the struct_size the caller set.
    fn fill(fault: *const Fault, out: [*c]c.keel_error) c.keel_status {
        if (out == null) return fault.status;
        const size: usize = out.*.struct_size;
        if (size >= 8) out.*.status = fault.status;
        if (size > 24) {
            const room = @min(size - 24, 256) - 1;
            var end = @min(fault.length, room);
            while (!std.unicode.utf8ValidateSlice(fault.text[0..end])) end -= 1;
            const message: [*]u8 = @ptrCast(&out.*.message);
            @memcpy(message[0..end], fault.text[0..end]);
            message[end] = 0;
        }
        return fault.status;
    }

    /// What a call answers: KEEL_OK, or what was refused and why.
    pub fn answer(fault: *Fault, result: anyerror!void, out: [*c]c.keel_error) c.keel_status {
        if (result) |_| return c.KEEL_OK else |problem| switch (problem) {
            error.Refused => return fault.fill(out),
            else => {
                fault.refuse(c.KEEL_E_INTERNAL, "{s}", .{@errorName(problem)}) catch {};
                return fault.fill(out);
            },
        }
    }
};

/// The bytes of a borrowed text, for the length of the call.
pub fn bytes(text: c.keel_str) []const u8 {
    return if (text.len == 0) &.{} else text.ptr[0..text.len];
}

pub fn str(text: []const u8) c.keel_str {
    return .{ .ptr = text.ptr, .len = text.len };
}

/// The host, as long as the instance lives.
pub const Host = struct {
    table: *const c.keel_host,

    /// Rule 3: struct_size comes before everything behind it.
    fn accept(table: [*c]const c.keel_host, fault: *Fault) !Host {
        if (table == null or table.*.struct_size < @sizeOf(c.keel_host) or table.*.abi_major != c.KEEL_ABI_MAJOR)
            return fault.refuse(c.KEEL_E_UNSUPPORTED, "this plugin needs a host of ABI 1", .{});
        return .{ .table = table };
    }

    pub fn now(host: Host) c.keel_time {
        return host.table.now.?(host.table);
    }
    pub fn log(host: Host, level: u32, comptime format: []const u8, values: anytype) void {
        var buffer: [300]u8 = undefined;
        host.table.log.?(host.table, level, str(std.fmt.bufPrint(&buffer, format, values) catch return));
    }
    pub fn timer(host: Host, delay: c.keel_span, period: c.keel_span, tag: u64) u64 {
        var id: u64 = 0;
        return if (host.table.timer.?(host.table, delay, period, tag, &id) == c.KEEL_OK) id else 0;
    }
    pub fn stopTimer(host: Host, id: u64) void {
        _ = host.table.timer_stop.?(host.table, id);
    }
    pub fn watch(host: Host, fd: c_int, interest: u32) void {
        _ = host.table.watch.?(host.table, fd, interest);
    }
    pub fn instrument(host: Host, id: c.keel_instrument_id, fault: *Fault) !c.keel_instrument {
        var about = std.mem.zeroes(c.keel_instrument);
        about.struct_size = @sizeOf(c.keel_instrument);
        if (host.table.instrument.?(host.table, id, &about) != c.KEEL_OK) return fault.refuse(c.KEEL_E_NOT_FOUND, "unknown instrument", .{});
        return about;
    }

    /// Emits an event with texts laid behind its body; `places` point at where each of them is noted in `event`.
    pub fn emit(host: Host, event: anytype, kind: u32, flags: u32, places: []const *c.keel_text, texts: []const []const u8) void {
        const size = @sizeOf(@TypeOf(event.*));
        var out: [4096]u8 align(8) = undefined;
        var at: usize = size;
        for (places, texts) |place, text| {
            const length = @min(text.len, out.len - at);
            place.* = .{ .off = @intCast(at), .len = @intCast(length) };
            @memcpy(out[at .. at + length], text[0..length]);
            at += length;
        }
        const head: *c.keel_event = @ptrCast(event);
        head.size = @intCast(at);
        head.kind = @intCast(kind);
        head.flags = @intCast(flags);
        @memcpy(out[0..size], std.mem.asBytes(event));
        // KEEL_E_AGAIN comes for lossy kinds only: the host is busy, and the next one will do.
        _ = host.table.emit.?(host.table, @ptrCast(&out));
    }
    /// The last event of a request.
    pub fn done(host: Host, request: u64, status: c.keel_status, why: []const u8) void {
        var event = std.mem.zeroes(c.keel_ev_done);
        event.head.request = request;
        event.status = status;
        host.emit(&event, c.KEEL_EV_DONE, 0, &.{&event.message}, &.{why});
    }
    pub fn link(host: Host, state: u32, why: c.keel_status, name: []const u8) void {
        var event = std.mem.zeroes(c.keel_ev_link);
        event.state = state;
        event.why = why;
        host.emit(&event, c.KEEL_EV_LINK, 0, &.{&event.name}, &.{name});
    }
};

pub const State = enum { created, running, stopped };

pub fn needsRunning(state: State, fault: *Fault) !void {
    if (state != .running) return fault.refuse(c.KEEL_E_STATE, "it is not running", .{});
}

/// The instance behind the pointer.
pub fn me(comptime Self: type, instance: ?*c.keel_instance) *Self {
    return @ptrCast(@alignCast(instance.?));
}

/// What every component needs. `Self` has the members `host: Host` and `state: State`, and the functions
/// `init(self, json, fault)`, `startUp(self, fault)`, `shutDown(self)`; `onTimer` and `onFd` if it uses them.
pub fn Life(comptime Self: type) type {
    return struct {
        pub fn create(_: [*c]const c.keel_component, host: [*c]const c.keel_host, _: c.keel_str, json: c.keel_str, out: [*c]?*c.keel_instance, err: [*c]c.keel_error) callconv(.c) c.keel_status {
            var fault = Fault{};
            return fault.answer(make(host, json, out, &fault), err);
        }
        fn make(table: [*c]const c.keel_host, json: c.keel_str, out: [*c]?*c.keel_instance, fault: *Fault) !void {
            const host = try Host.accept(table, fault);
            const self = try std.heap.c_allocator.create(Self);
            errdefer std.heap.c_allocator.destroy(self);
            self.* = .{ .host = host };
            try self.init(bytes(json), fault);
            out.* = @ptrCast(self);
        }
        pub fn start(instance: ?*c.keel_instance, err: [*c]c.keel_error) callconv(.c) c.keel_status {
            var fault = Fault{};
            return fault.answer(begin(me(Self, instance), &fault), err);
        }
        fn begin(self: *Self, fault: *Fault) !void {
            if (self.state == .running) return fault.refuse(c.KEEL_E_STATE, "it is running already", .{});
            try self.startUp(fault);
            self.state = .running;
        }
        pub fn stop(instance: ?*c.keel_instance, _: c.keel_time, request: u64, err: [*c]c.keel_error) callconv(.c) c.keel_status {
            var fault = Fault{};
            const self = me(Self, instance);
            needsRunning(self.state, &fault) catch |problem| return fault.answer(problem, err);
            self.shutDown();
            self.state = .stopped;
            self.host.done(request, c.KEEL_OK, ""); // the very last event
            return c.KEEL_OK;
        }
        pub fn destroy(instance: ?*c.keel_instance) callconv(.c) void {
            const self = me(Self, instance);
            if (@hasDecl(Self, "deinit")) self.deinit();
            std.heap.c_allocator.destroy(self);
        }
        pub fn timer(instance: ?*c.keel_instance, id: u64, _: u64) callconv(.c) void {
            if (@hasDecl(Self, "onTimer")) me(Self, instance).onTimer(id);
        }
        pub fn ready(instance: ?*c.keel_instance, _: c_int, bits: u32) callconv(.c) void {
            if (@hasDecl(Self, "onFd")) me(Self, instance).onFd(bits);
        }
    };
}

/// A component with one role.
pub fn component(comptime Self: type, comptime id: [*:0]const u8, comptime name: [*:0]const u8, comptime interfaces: []const c.keel_interface, comptime schema: [*:0]const u8, comptime flags: u32) c.keel_component {
    const life = Life(Self);
    return .{
        .struct_size = @sizeOf(c.keel_component),
        .flags = flags,
        .id = id,
        .name = name,
        .vendor = "",
        .version = "0.1.0",
        .license = "MIT",
        .url = "",
        .toolchain = "zig",
        .config_schema = schema,
        .state_version = 0,
        .state_oldest = 0,
        .interfaces = interfaces.ptr,
        .interface_count = interfaces.len,
        .reserved = 0,
        .check_config = null,
        .create = life.create,
        .start = life.start,
        .stop = life.stop,
        .destroy = life.destroy,
        .on_timer = life.timer,
        .on_fd = life.ready,
        .on_wake = null,
    };
}

/// Strict: bytes of an order behind the part we know must be zero.
pub fn refuseUnknownTail(order: *const c.keel_order, fault: *Fault) !void {
    const raw: [*]const u8 = @ptrCast(order);
    var at: usize = @sizeOf(c.keel_order);
    while (at < order.struct_size) : (at += 1) {
        if (raw[at] != 0) return fault.refuse(c.KEEL_E_UNSUPPORTED, "the order has parts this plugin doesn't know", .{});
    }
}

// ---- decimals ----------------------------------------------------------------------------------------------------------

pub fn decimal(value: c.keel_fixed, buffer: *[32]u8) []const u8 {
    const size = @abs(value);
    return std.fmt.bufPrint(buffer, "{s}{d}.{d:0>8}", .{ if (value < 0) "-" else "", size / @as(u64, one), size % @as(u64, one) }) catch unreachable;
}

/// null if it is no number, has more than eight places or doesn't fit: never a rounded value.
pub fn parseDecimal(text: []const u8) ?c.keel_fixed {
    const negative = text.len > 0 and text[0] == '-';
    const rest = if (negative) text[1..] else text;
    const point = std.mem.indexOfScalar(u8, rest, '.') orelse rest.len;
    var places = if (point < rest.len) rest[point + 1 ..] else rest[rest.len..];
    while (places.len > 0 and places[places.len - 1] == '0') places = places[0 .. places.len - 1];
    if (point == 0 or places.len > 8) return null;
    var value: i64 = 0;
    for (rest[0..point]) |digit| value = add(value, digit) orelse return null;
    for (0..8) |index| value = add(value, if (index < places.len) places[index] else '0') orelse return null;
    return if (negative) -value else value;
}

fn add(value: i64, digit: u8) ?i64 {
    if (digit < '0' or digit > '9') return null;
    return std.math.add(i64, std.math.mul(i64, value, 10) catch return null, digit - '0') catch null;
}

// ---- configuration: a flat JSON object ----------------------------------------------------------------------------------

/// Where a property's value goes. The host has checked the configuration already; a plugin checks again all the same,
/// because a mistyped limit must never be ignored.
pub const Text = struct {
    buffer: [96]u8 = undefined,
    length: usize = 0,
    pub fn slice(text: *const Text) []const u8 {
        return text.buffer[0..text.length];
    }
};
pub const Field = struct {
    name: []const u8,
    required: bool = false,
    into: union(enum) { integer: struct { low: i64, high: i64, into: *i64 }, text: *Text, secret: *Text },
};

const Json = struct {
    bytes: []const u8,
    at: usize = 0,

    fn take(json: *Json, wanted: u8) bool {
        while (json.at < json.bytes.len and std.mem.indexOfScalar(u8, " \n\t\r", json.bytes[json.at]) != null) json.at += 1;
        if (json.at >= json.bytes.len or json.bytes[json.at] != wanted) return false;
        json.at += 1;
        return true;
    }
    /// A text without escapes.
    fn text(json: *Json) ?[]const u8 {
        if (!json.take('"')) return null;
        const start = json.at;
        while (json.at < json.bytes.len and json.bytes[json.at] != '"') : (json.at += 1) {
            if (json.bytes[json.at] < 32 or json.bytes[json.at] == '\\') return null;
        }
        if (json.at >= json.bytes.len) return null;
        json.at += 1;
        const found = json.bytes[start .. json.at - 1];
        return if (std.unicode.utf8ValidateSlice(found)) found else null;
    }
    fn integer(json: *Json) ?i64 {
        const negative = json.take('-');
        const start = json.at;
        while (json.at < json.bytes.len and std.ascii.isDigit(json.bytes[json.at])) json.at += 1;
        if (json.at < json.bytes.len and std.mem.indexOfScalar(u8, ".eE", json.bytes[json.at]) != null) return null;
        const value = std.fmt.parseInt(i64, json.bytes[start..json.at], 10) catch return null;
        return if (negative) -value else value;
    }
    fn secret(json: *Json) ?[]const u8 {
        if (!json.take('{')) return null;
        const key = json.text() orelse return null;
        if (!std.mem.eql(u8, key, "$secret") or !json.take(':')) return null;
        const name = json.text() orelse return null;
        return if (json.take('}')) name else null;
    }
};

pub fn configure(text: []const u8, fields: []const Field, fault: *Fault) !void {
    var json = Json{ .bytes = text };
    var seen: u64 = 0;
    if (!json.take('{')) return fault.refuse(c.KEEL_E_INVALID, "the configuration must be an object", .{});
    if (!json.take('}')) {
        while (true) {
            const name = json.text() orelse return fault.refuse(c.KEEL_E_INVALID, "the configuration can't be read", .{});
            if (!json.take(':')) return fault.refuse(c.KEEL_E_INVALID, "the configuration can't be read", .{});
            const shown = name[0..@min(name.len, 100)];
            const index = for (fields, 0..) |field, at| {
                if (std.mem.eql(u8, field.name, name)) break at;
            } else return fault.refuse(c.KEEL_E_INVALID, "\"{s}\" is no property of this plugin", .{if (std.unicode.utf8ValidateSlice(shown)) shown else "?"});
            seen |= @as(u64, 1) << @intCast(index);
            switch (fields[index].into) {
                .integer => |range| {
                    const value = json.integer();
                    if (value == null or value.? < range.low or value.? > range.high)
                        return fault.refuse(c.KEEL_E_INVALID, "\"{s}\" must be a whole number from {d} to {d}", .{ name, range.low, range.high });
                    range.into.* = value.?;
                },
                .text => |into| try keep(json.text(), into, name, "a text", fault),
                .secret => |into| try keep(json.secret(), into, name, "a reference like {\"$secret\": \"name\"}", fault),
            }
            if (!json.take(',')) break;
        }
        if (!json.take('}')) return fault.refuse(c.KEEL_E_INVALID, "the configuration can't be read", .{});
    }
    _ = json.take(' ');
    if (json.at != json.bytes.len) return fault.refuse(c.KEEL_E_INVALID, "something follows the configuration", .{});
    for (fields, 0..) |field, index| {
        if (field.required and seen & (@as(u64, 1) << @intCast(index)) == 0) return fault.refuse(c.KEEL_E_INVALID, "\"{s}\" is missing", .{field.name});
    }
}

fn keep(found: ?[]const u8, into: *Text, name: []const u8, what: []const u8, fault: *Fault) !void {
    const value = found orelse return fault.refuse(c.KEEL_E_INVALID, "\"{s}\" must be {s}", .{ name, what });
    if (value.len > into.buffer.len) return fault.refuse(c.KEEL_E_INVALID, "\"{s}\" is too long", .{name});
    @memcpy(into.buffer[0..value.len], value);
    into.length = value.len;
}

// ---- a connection that speaks lines --------------------------------------------------------------------------------------

/// Everything happens on the lane, nothing ever blocks (rule 5), and a lost connection comes back with growing pauses.
/// `Owner` has the functions onLine(self, line) and onLink(self, up).
pub fn Line(comptime Owner: type) type {
    return struct {
        const Self = @This();
        host: Host = undefined,
        owner: *Owner = undefined,
        port: u16 = 0,
        fd: posix.fd_t = -1,
        up: bool = false,
        wanted: bool = false,
        retry: u64 = 0,
        pause: c.keel_span = 50_000_000,
        in_length: usize = 0,
        out_length: usize = 0,
        in: [65536]u8 = undefined,
        out: [65536]u8 = undefined,

        /// In startUp.
        pub fn open(line: *Self, host: Host, owner: *Owner, port: u16) void {
            line.host = host;
            line.owner = owner;
            line.port = port;
            line.wanted = true;
            line.pause = 50_000_000;
            line.connect();
        }
        fn connect(line: *Self) void {
            // libc's own calls: those of std are moved about from one compiler to the next.
            const address = posix.sockaddr.in{ .port = std.mem.nativeToBig(u16, line.port), .addr = std.mem.nativeToBig(u32, 0x7F00_0001) };
            line.fd = std.c.socket(posix.AF.INET, posix.SOCK.STREAM | posix.SOCK.CLOEXEC | posix.SOCK.NONBLOCK, 0);
            if (line.fd < 0) return line.lost();
            const result = std.c.connect(line.fd, @ptrCast(&address), @sizeOf(posix.sockaddr.in));
            if (result != 0 and std.c.errno(result) != .INPROGRESS) return line.lost();
            line.host.watch(line.fd, c.KEEL_READABLE | c.KEEL_WRITABLE);
        }
        fn shut(line: *Self) void {
            if (line.fd >= 0) {
                line.host.watch(line.fd, 0); // before it closes: the number may be used again
                _ = std.c.close(line.fd);
            }
            line.fd = -1;
            line.up = false;
            line.in_length = 0;
            line.out_length = 0;
        }
        fn lost(line: *Self) void {
            const was = line.up;
            line.shut();
            if (line.wanted and line.retry == 0) {
                line.retry = line.host.timer(line.pause, 0, 0);
                line.pause = @min(line.pause * 2, 30_000_000_000);
            }
            if (was) line.owner.onLink(false);
        }
        /// In shutDown.
        pub fn close(line: *Self) void {
            line.wanted = false;
            if (line.retry != 0) line.host.stopTimer(line.retry);
            line.retry = 0;
            line.shut();
        }
        /// In onTimer: true if the timer was the connection's own.
        pub fn timer(line: *Self, id: u64) bool {
            if (id == 0 or id != line.retry) return false;
            line.retry = 0;
            if (line.wanted and line.fd < 0) line.connect();
            return true;
        }
        /// `text` with its line end. False: nothing was sent, certainly.
        pub fn send(line: *Self, text: []const u8) bool {
            if (!line.up or line.out_length + text.len > line.out.len) return false;
            @memcpy(line.out[line.out_length .. line.out_length + text.len], text);
            line.out_length += text.len;
            line.flush();
            return true;
        }
        fn flush(line: *Self) void {
            while (line.out_length > 0) {
                const sent = std.c.send(line.fd, &line.out, line.out_length, posix.MSG.NOSIGNAL);
                if (sent < 0) {
                    if (std.c.errno(sent) == .AGAIN) break;
                    return line.lost();
                }
                const count: usize = @intCast(sent);
                std.mem.copyForwards(u8, line.out[0..], line.out[count..line.out_length]);
                line.out_length -= count;
            }
            line.host.watch(line.fd, if (line.out_length > 0) c.KEEL_READABLE | c.KEEL_WRITABLE else c.KEEL_READABLE);
        }
        /// In onFd.
        pub fn ready(line: *Self, bits: u32) void {
            if (line.fd < 0) return;
            if (!line.up and bits & (c.KEEL_WRITABLE | c.KEEL_HANGUP) != 0) {
                if (bits & c.KEEL_HANGUP != 0) return line.lost();
                var failure: c_int = 0;
                var size: posix.socklen_t = @sizeOf(c_int);
                if (std.c.getsockopt(line.fd, posix.SOL.SOCKET, posix.SO.ERROR, &failure, &size) != 0 or failure != 0) return line.lost();
                line.up = true;
                line.pause = 50_000_000;
                line.host.watch(line.fd, c.KEEL_READABLE);
                line.owner.onLink(true);
            }
            if (line.up and bits & c.KEEL_WRITABLE != 0) line.flush();
            while (line.fd >= 0 and bits & (c.KEEL_READABLE | c.KEEL_HANGUP) != 0) {
                const count = std.c.recv(line.fd, line.in[line.in_length..].ptr, line.in.len - line.in_length, 0);
                if (count < 0 and std.c.errno(count) == .AGAIN) return;
                if (count <= 0) return line.lost();
                line.in_length += @intCast(count);
                while (line.fd >= 0) {
                    const end = std.mem.indexOfScalar(u8, line.in[0..line.in_length], '\n') orelse break;
                    line.owner.onLine(line.in[0..end]);
                    if (line.fd < 0) return;
                    std.mem.copyForwards(u8, line.in[0..], line.in[end + 1 .. line.in_length]);
                    line.in_length -= end + 1;
                }
                if (line.in_length == line.in.len) return line.lost(); // a line that long is no line
            }
        }
    };
}

"""###

    /// build.zig.
    static let zigBuild = ###"""
const std = @import("std");

pub fn build(b: *std.Build) void {
    // What keel.h asks of the linker: one exported symbol, everything bound at load, never unloaded. The build API has no
    // word for "nodelete", so the compiler is called as on a command line.
    const compile = b.addSystemCommand(&.{ b.graph.zig_exe, "build-lib", "-dynamic", "--name", "@STEM@", "-fsoname=lib@STEM@.so" });
    compile.addArgs(&.{ "--version-script", "exports.map", "-z", "nodelete", "-z", "now", "-z", "relro", "-z", "defs" });
    compile.addArgs(&.{ "-fPIC", "-fstrip", "-O", "ReleaseSafe", "--dep", "keel", "-Mroot=src/plugin.zig" });
    compile.addArgs(&.{ "-fPIC", "-fstrip", "-O", "ReleaseSafe", "--dep", "c", "-Mkeel=keel/keel.zig" });
    // keel.h as Zig sees it: newer compilers know no @cImport.
    const header = b.addTranslateC(.{ .root_source_file = b.path("keel/keel.h"), .target = b.graph.host, .optimize = .ReleaseSafe });
    compile.addArgs(&.{ "-fPIC", "-fstrip", "-O", "ReleaseSafe" });
    compile.addPrefixedFileArg("-Mc=", header.getOutput());
    compile.addArg("-lc");
    for ([_][]const u8{ "src/plugin.zig", "keel/keel.zig", "keel/keel.h", "exports.map" }) |file| compile.addFileInput(b.path(file));
    const library = compile.addPrefixedOutputFileArg("-femit-bin=", "lib@STEM@.so");
    b.getInstallStep().dependOn(&b.addInstallLibFile(library, "lib@STEM@.so").step);
}

"""###
}
