//! Breakout: a decider for Keel, in Rust with nothing but `std`.
//!
//! The oldest rule there is: buy when the price leaves the range of the last bars upwards, sell when it leaves it
//! downwards. Around it stands what a decider owes its host:
//!
//! - it keeps within what the snapshot allows, and says with how much confidence and why;
//! - it asks to be woken when the price reaches the edge of the range, instead of polling;
//! - it remembers how often it was right (`keel.state/1`), and tells people (`keel.describe/1`);
//! - the same snapshots give the same decisions, so a recorded day can be replayed.
//!
//! `keel/keel.rs` is the header in Rust; `keel plugin new` wrote it.
#[path = "../keel/keel.rs"]
mod keel;
use keel::*;
use std::ffi::{c_void, CStr};

// ---- configuration ------------------------------------------------------------------------------------------------------

const SCHEMA: &CStr = c"{\"type\":\"object\",\"properties\":{\"bars\":{\"type\":\"integer\",\"minimum\":2,\"maximum\":400,\"default\":20,\"description\":\"Bars that make the range.\"},\"share\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":50,\"x-unit\":\"%\",\"description\":\"Share of what the snapshot allows that one entry takes.\"}}}";

/// What survives a restart.
#[derive(Default, Clone, Copy, PartialEq)]
struct Memory { asked: u64, broke_up: u64, broke_down: u64 }

struct Breakout { host: Host, state: State, bars: usize, share: Fixed, memory: Memory }

impl Plugin for Breakout {
    fn new(host: Host, config: &[u8]) -> Result<Breakout, Refusal> {
        let (mut bars, mut share) = (20, 50);
        configure(config, &mut [
            Field { name: "bars", required: false, into: Target::Integer(2, 400, &mut bars) },
            Field { name: "share", required: false, into: Target::Integer(1, 100, &mut share) },
        ])?;
        Ok(Breakout { host, state: State::Created, bars: bars as usize, share, memory: Memory::default() })
    }
    fn host(&self) -> Host { self.host }
    fn state(&mut self) -> &mut State { &mut self.state }
}

// ---- the idea -----------------------------------------------------------------------------------------------------------

/// The highest high and the lowest low of the newest `count` bars; None if there are not so many.
fn range(bars: &[Bar], count: usize) -> Option<(Fixed, Fixed)> {
    let newest = bars.get(bars.len().checked_sub(count)?..)?;
    Some((newest.iter().map(|bar| bar.high).max()?, newest.iter().map(|bar| bar.low).min()?))
}

/// How far beyond the edge the price stands, in ranges: a half is as sure as it gets.
fn confidence(beyond: Fixed, width: Fixed) -> Fixed {
    if width <= 0 { return ONE / 4; }
    (beyond as i128 * ONE as i128 / width as i128).clamp(ONE as i128 / 10, ONE as i128 / 2) as Fixed
}

struct Verdict { action: u32, confidence: Fixed, reason: String, wakes: Vec<Wake> }

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Wake { condition: u32, reserved: u32, level: Fixed }
const WAKE_PRICE_ABOVE: u32 = 1;
const WAKE_PRICE_BELOW: u32 = 2;

fn judge(last: Fixed, bars: &[Bar], count: usize) -> Verdict {
    let Some((high, low)) = range(bars, count) else {
        return Verdict { action: ACT_HOLD, confidence: 0, reason: format!("fewer than {count} bars"), wakes: Vec::new() };
    };
    // Wake me at the edges; between them nothing can change my mind.
    let wakes = vec![Wake { condition: WAKE_PRICE_ABOVE, level: high, ..Wake::default() }, Wake { condition: WAKE_PRICE_BELOW, level: low, ..Wake::default() }];
    let (action, beyond) = if last > high { (ACT_BUY, last - high) } else if last < low { (ACT_SELL, low - last) } else { (ACT_HOLD, 0) };
    let reason = match action {
        ACT_BUY => format!("{} is above {}, the high of {count} bars", decimal(last), decimal(high)),
        ACT_SELL => format!("{} is below {}, the low of {count} bars", decimal(last), decimal(low)),
        _ => format!("between {} and {}", decimal(low), decimal(high)),
    };
    Verdict { action, confidence: if action == ACT_HOLD { 0 } else { confidence(beyond, high - low) }, reason, wakes }
}

/// What the snapshot forbids, nobody should propose: the host would refuse it, and record that.
fn is_allowed(snapshot: &Snapshot, action: u32) -> bool {
    let flat = snapshot.position.hi < 0 || snapshot.position == Amount::default();
    match action {
        ACT_BUY => snapshot.allowed & MAY_BUY != 0,
        ACT_SELL => snapshot.allowed & MAY_SELL != 0 && (!flat || snapshot.allowed & MAY_SHORT != 0),
        _ => true,
    }
}

// ---- the decider's functions --------------------------------------------------------------------------------------------

extern "C" fn decide(instance: *mut Instance, snapshot: *const Snapshot, deadline: Time, request: u64, error: *mut Error) -> Status {
    guard(error, || {
        let breakout = me::<Breakout>(instance);
        breakout.state.needs_running()?;
        let host = breakout.host;
        // A newer host's snapshot may be longer than ours, never shorter.
        if (unsafe { (*snapshot).struct_size } as usize) < std::mem::size_of::<Snapshot>() { return refuse(E_INVALID, "the snapshot is too short"); }
        if deadline != 0 && host.now() >= deadline {
            host.done(request, E_TIMEOUT, "the deadline has passed");
            return Ok(());
        }
        let about = unsafe { &*snapshot };
        let bars: &[Bar] = unsafe { list::<Series>(snapshot, about.series).first().map_or(&[], |series| list(snapshot, series.bars)) };
        let verdict = judge(about.last, bars, breakout.bars);
        breakout.memory.asked += 1;
        if verdict.action == ACT_BUY { breakout.memory.broke_up += 1; }
        if verdict.action == ACT_SELL { breakout.memory.broke_down += 1; }
        let action = if is_allowed(about, verdict.action) { verdict.action } else { ACT_HOLD };
        let fraction = if action == ACT_HOLD { 0 } else { (about.max_fraction.clamp(0, ONE) / 100) * breakout.share };
        let head = Event { kind: EV_DECISION, instrument: about.instrument, request, ..Default::default() };
        let decision = EvDecision { head, action, snapshot: about.hash, fraction, confidence: verdict.confidence, exit_probability: -1, ..Default::default() };
        emit_with_wakes(host, decision, &verdict);
        host.done(request, OK, "");
        Ok(())
    })
}

/// A decision with a list behind it: the wakes follow the struct at a multiple of 8, the reason follows the wakes.
fn emit_with_wakes(host: Host, decision: EvDecision, verdict: &Verdict) {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct WithWakes { event: EvDecision, wakes: [Wake; 2] }
    let mut both = WithWakes { event: decision, wakes: [Wake::default(); 2] };
    both.wakes[..verdict.wakes.len()].copy_from_slice(&verdict.wakes);
    both.event.wakes = List { off: if verdict.wakes.is_empty() { 0 } else { std::mem::size_of::<EvDecision>() as u32 }, count: verdict.wakes.len() as u32 };
    host.emit(both, &[&verdict.reason], |both, at| both.event.reason = at[0]);
}

extern "C" fn cancel(_instance: *mut Instance, _request: u64) {} // decide answers at once: nothing is ever open

// ---- keel.state/1 and keel.describe/1 -----------------------------------------------------------------------------------

const STATE_VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"breakout";

#[repr(C)]
struct StateTable {
    struct_size: u32,
    reserved: u32,
    save: extern "C" fn(*mut Instance, *const Writer, *mut Error) -> Status,
    load: extern "C" fn(*mut Instance, u32, *const Reader, *mut Error) -> Status,
}

fn checksum(bytes: &[u8]) -> u64 { bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ *byte as u64).wrapping_mul(0x100_0000_01b3)) }

impl Memory {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for word in [self.asked, self.broke_up, self.broke_down] { bytes.extend_from_slice(&word.to_le_bytes()); }
        bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
        bytes
    }
    fn from_bytes(bytes: &[u8]) -> Option<Memory> {
        let (body, sum) = bytes.split_at_checked(32)?;
        if !body.starts_with(MAGIC) || sum != checksum(body).to_le_bytes() { return None; }
        let word = |index: usize| body[8 + 8 * index..16 + 8 * index].try_into().map(u64::from_le_bytes).ok();
        Some(Memory { asked: word(0)?, broke_up: word(1)?, broke_down: word(2)? })
    }
}

extern "C" fn save(instance: *mut Instance, out: *const Writer, error: *mut Error) -> Status {
    guard(error, || {
        let breakout = me::<Breakout>(instance);
        if breakout.state == State::Running { return refuse(E_STATE, "save needs a stopped instance"); }
        let bytes = breakout.memory.to_bytes();
        match unsafe { ((*out).write)(out, bytes.as_ptr() as *const c_void, bytes.len()) } {
            OK => Ok(()),
            status => refuse(status, "the state could not be written"),
        }
    })
}

extern "C" fn load(instance: *mut Instance, version: u32, from: *const Reader, error: *mut Error) -> Status {
    guard(error, || {
        let breakout = me::<Breakout>(instance);
        if breakout.state != State::Created { return refuse(E_STATE, "load needs a created instance"); }
        if version != STATE_VERSION { return refuse(E_UNSUPPORTED, format!("state version {version} is not known")); }
        // A reader may hand over less than is asked for; 0 is the end. More than a state's size is no state of ours.
        let mut bytes = Vec::new();
        let mut buffer = [0u8; 256];
        while bytes.len() < 1024 {
            let count = unsafe { ((*from).read)(from, buffer.as_mut_ptr() as *mut c_void, buffer.len()) };
            if count < 0 { return refuse(count as Status, "the state could not be read"); }
            if count == 0 { break; }
            bytes.extend_from_slice(&buffer[..count as usize]);
        }
        // Only now does anything change: a refused state leaves the instance as it was.
        match Memory::from_bytes(&bytes) {
            Some(memory) => { breakout.memory = memory; Ok(()) }
            None => refuse(E_INVALID, "the state is damaged"),
        }
    })
}

extern "C" fn describe(instance: *mut Instance, out: *const Writer) -> Status {
    let memory = me::<Breakout>(instance).memory;
    let text = format!("{{\"asked\":{},\"up\":{},\"down\":{}}}", memory.asked, memory.broke_up, memory.broke_down);
    unsafe { ((*out).write)(out, text.as_ptr() as *const c_void, text.len()) }
}

// ---- the tables ---------------------------------------------------------------------------------------------------------

static DECIDER: DeciderTable = DeciderTable { struct_size: std::mem::size_of::<DeciderTable>() as u32, bars_wanted: 400, wants: WANT_BARS, decide, cancel, observe: None };
static STATE: StateTable = StateTable { struct_size: std::mem::size_of::<StateTable>() as u32, reserved: 0, save, load };
static DESCRIPTION: DescribeTable = DescribeTable { struct_size: std::mem::size_of::<DescribeTable>() as u32, reserved: 0, describe };

static INTERFACES: Static<[Interface; 3]> = Static([
    Interface { id: c"keel.decider/1".as_ptr(), table: &DECIDER as *const DeciderTable as *const c_void },
    Interface { id: c"keel.state/1".as_ptr(), table: &STATE as *const StateTable as *const c_void },
    Interface { id: c"keel.describe/1".as_ptr(), table: &DESCRIPTION as *const DescribeTable as *const c_void },
]);
static COMPONENT: Static<Component> = Static(Component {
    struct_size: std::mem::size_of::<Component>() as u32, flags: COMPONENT_INLINE | COMPONENT_DETERMINISTIC, id: c"org.example.breakout".as_ptr(), name: c"Breakout".as_ptr(),
    vendor: c"A stranger".as_ptr(), version: c"1.0.0".as_ptr(), license: c"MIT".as_ptr(), url: c"".as_ptr(), toolchain: c"rust".as_ptr(), config_schema: SCHEMA.as_ptr(),
    state_version: STATE_VERSION, state_oldest: STATE_VERSION, interfaces: INTERFACES.0.as_ptr(), interface_count: 3, reserved: 0, check_config: None,
    create: create::<Breakout>, start: start::<Breakout>, stop: stop::<Breakout>, destroy: destroy::<Breakout>, on_timer: None, on_fd: None, on_wake: None,
});
static COMPONENTS: Static<[*const Component; 1]> = Static([&COMPONENT.0]);
static LIBRARY: Static<Library> = Static(Library {
    struct_size: std::mem::size_of::<Library>() as u32, abi_major: 1, abi_minor: 0, components: COMPONENTS.0.as_ptr(), component_count: 1, reserved: 0,
});

#[no_mangle]
pub extern "C" fn keel_plugin_entry(abi_major: u32) -> *const Library {
    if abi_major == ABI_MAJOR { &LIBRARY.0 } else { std::ptr::null() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(low: Fixed, high: Fixed) -> Bar { Bar { open_time: 0, open: low, high, low, close: high, volume: Amount::default() } }

    #[test]
    fn breaks_both_ways() {
        let bars: Vec<Bar> = (0..5).map(|_| bar(90 * ONE, 110 * ONE)).collect();
        assert_eq!(judge(111 * ONE, &bars, 5).action, ACT_BUY);
        assert_eq!(judge(89 * ONE, &bars, 5).action, ACT_SELL);
        assert_eq!(judge(100 * ONE, &bars, 5).action, ACT_HOLD);
        assert_eq!(judge(111 * ONE, &bars, 6).action, ACT_HOLD);
        assert_eq!(judge(100 * ONE, &bars, 5).wakes[0].level, 110 * ONE);
    }

    #[test]
    fn memory_survives_and_damage_is_noticed() {
        let memory = Memory { asked: 7, broke_up: 2, broke_down: 1 };
        let bytes = memory.to_bytes();
        assert!(Memory::from_bytes(&bytes) == Some(memory));
        for index in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[index] ^= 1;
            assert!(Memory::from_bytes(&broken).is_none());
            assert!(Memory::from_bytes(&bytes[..index]).is_none());
        }
    }
}
