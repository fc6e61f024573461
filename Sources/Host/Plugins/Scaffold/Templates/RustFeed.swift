extension Templates {
    /// A feed in Rust.
    static let rustFeed = ###"""
//! @NAME@: a feed for Keel, in Rust (only std).
//!
//! It makes up a market: a price that walks up and down, one quote an instrument every `every` milliseconds of the host's
//! clock. Replace `walk` with your data source; `keel::Line` is a connection that never blocks the lane and comes back
//! by itself.
#[path = "../keel/keel.rs"]
mod keel;
use keel::*;
use std::collections::BTreeMap;
use std::ffi::{c_void, CStr};

// Configuration: the members of Feed and the schema.
const SCHEMA: &CStr = c"{\"type\":\"object\",\"properties\":{\"every\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":60000,\"default\":100,\"x-unit\":\"ms\",\"description\":\"Time between two quotes.\"}}}";

struct Stream { tick: Fixed, price: Fixed, steps: u64 }

struct Feed { host: Host, state: State, every: i64, pace: Option<u64>, streams: BTreeMap<InstrumentId, Stream> }

impl Plugin for Feed {
    fn new(host: Host, config: &[u8]) -> Result<Feed, Refusal> {
        let mut every = 100;
        configure(config, &mut [Field { name: "every", required: false, into: Target::Integer(1, 60000, &mut every) }])?;
        Ok(Feed { host, state: State::Created, every, pace: None, streams: BTreeMap::new() })
    }
    fn host(&self) -> Host { self.host }
    fn state(&mut self) -> &mut State { &mut self.state }
    fn start(&mut self) -> Outcome {
        self.pace = self.host.timer(self.every * 1_000_000, self.every * 1_000_000, 0);
        if self.pace.is_none() { return refuse(E_INTERNAL, "the host gave no timer"); }
        self.host.link(LINK_UP, OK, "market");
        Ok(())
    }
    fn stop(&mut self) {
        if let Some(timer) = self.pace.take() { self.host.timer_stop(timer); }
        self.streams.clear();
    }
    fn on_timer(&mut self, _timer: u64, _tag: u64) {
        for (id, stream) in self.streams.iter_mut() {
            walk(*id, stream);
            let size = (1 + (stream.steps % 7) as Fixed) * ONE;
            let quote = EvQuote {
                head: Event { kind: EV_QUOTE, instrument: *id, at_source: self.host.now(), ..Default::default() },
                bid: stream.price, bid_qty: size, ask: stream.price + stream.tick, ask_qty: size,
            };
            self.host.emit(quote, &[], |_, _| {}); // E_AGAIN: the host is busy, and the next quote will do
        }
    }
}

/// The next price: a walk that looks random and is the same each time.
fn walk(id: InstrumentId, stream: &mut Stream) {
    stream.steps += 1;
    let mixed = (stream.steps + id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    stream.price = (stream.price + (mixed >> 62) as Fixed * stream.tick - stream.tick).max(1000 * stream.tick);
}

extern "C" fn subscribe(instance: *mut Instance, id: InstrumentId, channels: u64, request: u64, error: *mut Error) -> Status {
    guard(error, || {
        let feed = me::<Feed>(instance);
        feed.state.needs_running()?;
        if channels & !CH_QUOTES != 0 || channels == 0 { return refuse(E_UNSUPPORTED, "this feed has quotes only"); }
        let about = feed.host.instrument(id)?;
        let tick = if about.tick > 0 { about.tick } else { ONE / 100 };
        feed.streams.entry(id).or_insert(Stream { tick, price: tick * 10_000, steps: 0 }); // a second time changes nothing
        feed.host.done(request, OK, "");
        Ok(())
    })
}

extern "C" fn unsubscribe(instance: *mut Instance, id: InstrumentId, _channels: u64, request: u64, error: *mut Error) -> Status {
    guard(error, || {
        let feed = me::<Feed>(instance);
        feed.state.needs_running()?;
        feed.streams.remove(&id);
        feed.host.done(request, OK, "");
        Ok(())
    })
}

static TABLE: FeedTable = FeedTable { struct_size: std::mem::size_of::<FeedTable>() as u32, reserved: 0, channels: CH_QUOTES, silence: 0, subscribe, unsubscribe };
static INTERFACES: Static<[Interface; 1]> = Static([Interface { id: c"keel.feed/1".as_ptr(), table: &TABLE as *const FeedTable as *const c_void }]);
static COMPONENT: Static<Component> = Static(Component {
    struct_size: std::mem::size_of::<Component>() as u32, flags: 0, id: c"@ID@".as_ptr(), name: c"@NAME@".as_ptr(), vendor: c"".as_ptr(),
    version: c"0.1.0".as_ptr(), license: c"MIT".as_ptr(), url: c"".as_ptr(), toolchain: c"rust".as_ptr(), config_schema: SCHEMA.as_ptr(), state_version: 0, state_oldest: 0,
    interfaces: INTERFACES.0.as_ptr(), interface_count: 1, reserved: 0, check_config: None,
    create: create::<Feed>, start: start::<Feed>, stop: stop::<Feed>, destroy: destroy::<Feed>,
    on_timer: Some(on_timer::<Feed>), on_fd: None, on_wake: None,
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
