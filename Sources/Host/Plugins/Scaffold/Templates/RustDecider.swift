extension Templates {
    /// A decider in Rust.
    static let rustDecider = ###"""
//! @NAME@: a decider for Keel, in Rust (only std).
//!
//! It compares the last price with the mean of the newest bars and buys above it, sells below it, within what the
//! snapshot allows. Replace `judge` with your own idea; what stands around it is what `keel plugin check` tests.
#[path = "../keel/keel.rs"]
mod keel;
use keel::*;
use std::ffi::{c_void, CStr};

// Configuration: the members of Decider and the schema.
const SCHEMA: &CStr = c"{\"type\":\"object\",\"properties\":{\"bars\":{\"type\":\"integer\",\"minimum\":2,\"maximum\":500,\"default\":20,\"description\":\"How many of the newest bars make the mean.\"}}}";

struct Decider { host: Host, state: State, bars: i64 }

impl Plugin for Decider {
    fn new(host: Host, config: &[u8]) -> Result<Decider, Refusal> {
        let mut bars = 20;
        configure(config, &mut [Field { name: "bars", required: false, into: Target::Integer(2, 500, &mut bars) }])?;
        Ok(Decider { host, state: State::Created, bars })
    }
    fn host(&self) -> Host { self.host }
    fn state(&mut self) -> &mut State { &mut self.state }
}

struct Verdict { action: u32, confidence: Fixed, reason: &'static str }

/// The idea: `closes` are the newest bars' closes, oldest first.
fn judge(last: Fixed, closes: &[Fixed]) -> Verdict {
    if closes.is_empty() { return Verdict { action: ACT_HOLD, confidence: 0, reason: "no bars to compare with" }; }
    let mean = closes.iter().map(|close| *close as f64).sum::<f64>() / closes.len() as f64;
    let (action, reason) = match (last as f64).partial_cmp(&mean) {
        Some(std::cmp::Ordering::Greater) => (ACT_BUY, "the price is above the mean"),
        Some(std::cmp::Ordering::Less) => (ACT_SELL, "the price is below the mean"),
        _ => (ACT_HOLD, "the price is at the mean"),
    };
    Verdict { action, confidence: ONE / 2, reason }
}

/// Never beyond what the snapshot allows: the host would refuse it, and record that.
fn is_allowed(snapshot: &Snapshot, action: u32) -> bool {
    let flat = snapshot.position.hi < 0 || snapshot.position == Amount::default();
    match action {
        ACT_BUY => snapshot.allowed & MAY_BUY != 0,
        ACT_SELL => snapshot.allowed & MAY_SELL != 0 && (!flat || snapshot.allowed & MAY_SHORT != 0),
        _ => true,
    }
}

extern "C" fn decide(instance: *mut Instance, snapshot: *const Snapshot, deadline: Time, request: u64, error: *mut Error) -> Status {
    guard(error, || {
        let decider = me::<Decider>(instance);
        decider.state.needs_running()?;
        let host = decider.host;
        if (unsafe { (*snapshot).struct_size } as usize) < std::mem::size_of::<Snapshot>() { return refuse(E_INVALID, "the snapshot is too short"); }
        if deadline != 0 && host.now() >= deadline {
            host.done(request, E_TIMEOUT, "the deadline has passed");
            return Ok(());
        }
        let about = unsafe { &*snapshot };
        // Lists lie behind the struct, at offsets from its start; the shortest bars come first.
        let bars: &[Bar] = unsafe { list::<Series>(snapshot, about.series).first().map_or(&[], |series| list(snapshot, series.bars)) };
        let newest = bars.len().checked_sub(decider.bars as usize).map_or(&bars[..0], |start| &bars[start..]);
        let closes: Vec<Fixed> = newest.iter().map(|bar| bar.close).collect();
        let verdict = judge(about.last, &closes);
        let action = if is_allowed(about, verdict.action) { verdict.action } else { ACT_HOLD };
        let decision = EvDecision {
            head: Event { kind: EV_DECISION, instrument: about.instrument, request, ..Default::default() },
            action, snapshot: about.hash, confidence: verdict.confidence,
            fraction: if action == ACT_HOLD { 0 } else { about.max_fraction.clamp(0, ONE) },
            exit_probability: -1, // not said
            ..Default::default()
        };
        host.emit(decision, &[verdict.reason], |decision, at| decision.reason = at[0]);
        host.done(request, OK, "");
        Ok(())
    })
}

extern "C" fn cancel(_instance: *mut Instance, _request: u64) {} // decide answers at once: nothing is ever open

static TABLE: DeciderTable = DeciderTable { struct_size: std::mem::size_of::<DeciderTable>() as u32, bars_wanted: 60, wants: WANT_BARS, decide, cancel, observe: None };
static INTERFACES: Static<[Interface; 1]> = Static([Interface { id: c"keel.decider/1".as_ptr(), table: &TABLE as *const DeciderTable as *const c_void }]);
static COMPONENT: Static<Component> = Static(Component {
    struct_size: std::mem::size_of::<Component>() as u32, flags: COMPONENT_INLINE | COMPONENT_DETERMINISTIC, id: c"@ID@".as_ptr(), name: c"@NAME@".as_ptr(), vendor: c"".as_ptr(),
    version: c"0.1.0".as_ptr(), license: c"MIT".as_ptr(), url: c"".as_ptr(), toolchain: c"rust".as_ptr(), config_schema: SCHEMA.as_ptr(), state_version: 0, state_oldest: 0,
    interfaces: INTERFACES.0.as_ptr(), interface_count: 1, reserved: 0, check_config: None,
    create: create::<Decider>, start: start::<Decider>, stop: stop::<Decider>, destroy: destroy::<Decider>,
    on_timer: None, on_fd: None, on_wake: None,
});
static COMPONENTS: Static<[*const Component; 1]> = Static([&COMPONENT.0]);
static LIBRARY: Static<Library> = Static(Library {
    struct_size: std::mem::size_of::<Library>() as u32, abi_major: 1, abi_minor: 0, components: COMPONENTS.0.as_ptr(), component_count: 1, reserved: 0,
});

#[no_mangle]
pub extern "C" fn keel_plugin_entry(abi_major: u32) -> *const Library {
    if abi_major == ABI_MAJOR { &LIBRARY.0 } else { std::ptr::null() }
}

"""###
}
