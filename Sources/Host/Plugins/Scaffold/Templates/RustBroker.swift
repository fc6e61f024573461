extension Templates {
    /// A broker in Rust.
    static let rustBroker = ###"""
//! @NAME@: a broker for Keel, in Rust (only std).
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
#[path = "../keel/keel.rs"]
mod keel;
use keel::*;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{c_void, CStr};

const FEATURES: u64 = ORD_MARKET | ORD_LIMIT; // everything submit takes

// Configuration: the members of Broker and the schema.
const SCHEMA: &CStr = c"{\"type\":\"object\",\"required\":[\"port\",\"key\"],\"properties\":{\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535,\"description\":\"Port of the venue on this machine.\"},\"patience\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":600,\"default\":5,\"x-unit\":\"s\",\"description\":\"How long to wait for an acknowledgement.\"},\"key\":{\"type\":\"object\",\"x-secret\":true,\"description\":\"The API key.\"}}}";

#[derive(Default)]
struct Known {
    instrument: InstrumentId, side: u32, state: u32, qty: Fixed, limit: Fixed, filled: Fixed,
    notional: i128,         // sum of quantity x price, for an exact average
    submit: u64, cancel: u64, // requests still waiting for their DONE, 0 = none
    timer: Option<u64>,     // runs while we wait for the acknowledgement
    fills: HashSet<String>, // ids already counted: venues repeat themselves
}

impl Known {
    fn ended(&self) -> bool { (ORDER_FILLED..=ORDER_EXPIRED).contains(&self.state) }
}

struct Broker { host: Host, state: State, port: i64, patience: i64, secret: String, key: String, line: Line, ready: bool, sync: u64, orders: BTreeMap<Id, Known> }

impl Plugin for Broker {
    fn new(host: Host, config: &[u8]) -> Result<Broker, Refusal> {
        let (mut port, mut patience, mut secret) = (0, 5, String::new());
        configure(config, &mut [
            Field { name: "port", required: true, into: Target::Integer(1, 65535, &mut port) },
            Field { name: "patience", required: false, into: Target::Integer(1, 600, &mut patience) },
            Field { name: "key", required: true, into: Target::Secret(&mut secret) },
        ])?;
        Ok(Broker { host, state: State::Created, port, patience, secret, key: String::new(), line: Line::new(host), ready: false, sync: 0, orders: BTreeMap::new() })
    }
    fn host(&self) -> Host { self.host }
    fn state(&mut self) -> &mut State { &mut self.state }
    fn start(&mut self) -> Outcome {
        let value = self.host.secret(&self.secret).and_then(|value| String::from_utf8(value).ok());
        let Some(value) = value else { return refuse(E_AUTH, format!("the secret \"{}\" is missing", self.secret)) };
        self.key = value;
        self.line.open(self.port as u16);
        Ok(())
    }
    fn stop(&mut self) {
        self.line.close();
        self.ready = false;
        if self.sync != 0 { self.host.done(self.sync, E_STATE, "stopped"); }
        self.sync = 0;
        for (id, order) in self.orders.iter_mut() {
            if order.state == ORDER_PENDING { tell(self.host, *id, order, ORDER_IN_DOUBT, 0); }
            end_submit(self.host, order, E_IN_DOUBT, "stopped");
            end_cancel(self.host, order, E_IN_DOUBT, "stopped");
        }
    }
    fn on_timer(&mut self, timer: u64, _tag: u64) {
        if self.line.timer(timer) { return; }
        let host = self.host;
        let Some((id, order)) = self.orders.iter_mut().find(|(_, order)| order.timer == Some(timer)) else { return };
        order.timer = None;
        if order.state != ORDER_PENDING { return; }
        tell(host, *id, order, ORDER_IN_DOUBT, 0); // a late answer still puts this right
        end_submit(host, order, E_IN_DOUBT, "no acknowledgement yet");
    }
    fn on_fd(&mut self, ready: u32) {
        let news = self.line.ready(ready);
        self.hear(news);
    }
    fn on_wake(&mut self) {
        if self.state != State::Running { return; }
        let news = self.line.woken();
        self.hear(news);
    }
}

// ---- events

fn tell(host: Host, id: Id, order: &mut Known, state: u32, flags: u16) {
    order.state = state;
    let average = if order.filled == 0 { 0 } else { ((order.notional * 2 + order.filled as i128) / (order.filled as i128 * 2)) as Fixed };
    let event = EvOrder {
        head: Event { kind: EV_ORDER, flags, instrument: order.instrument, ..Default::default() }, order: id, state, side: order.side,
        filled: order.filled, leaves: order.qty - order.filled, average, limit: order.limit, ..Default::default() // cumulative, never deltas
    };
    host.emit(event, &[], |_, _| {});
}

fn end_submit(host: Host, order: &mut Known, status: Status, why: &str) {
    if let Some(timer) = order.timer.take() { host.timer_stop(timer); }
    let request = std::mem::take(&mut order.submit);
    if request != 0 { host.done(request, status, why); }
}

fn end_cancel(host: Host, order: &mut Known, status: Status, why: &str) {
    let request = std::mem::take(&mut order.cancel);
    if request != 0 { host.done(request, status, why); }
}

fn id_text(id: Id) -> String { format!("{:016x}{:016x}", id.hi, id.lo) }

fn parse_id(text: &str) -> Option<Id> {
    if text.len() != 32 || !text.is_ascii() { return None; }
    Some(Id { hi: u64::from_str_radix(&text[..16], 16).ok()?, lo: u64::from_str_radix(&text[16..], 16).ok()? })
}

// ---- VENUE, first half: what it says

impl Broker {
    fn hear(&mut self, news: Vec<News>) {
        for item in news {
            match item {
                News::Up => drop(self.line.send(&format!("LOGIN {}\n", self.key))),
                News::Down => self.on_down(),
                News::Line(text) => if self.on_line(&text).is_none() {
                    // Lenient with what comes: say so and go on.
                    self.host.log(LOG_WARN, &format!("the venue said something unknown: {}", text.chars().take(100).collect::<String>()));
                },
            }
        }
    }

    fn on_down(&mut self) {
        self.ready = false;
        let sync = std::mem::take(&mut self.sync);
        self.host.link(LINK_DOWN, E_NETWORK, "venue");
        if sync != 0 { self.host.done(sync, E_NETWORK, "the connection was lost"); }
        for (id, order) in self.orders.iter_mut() {
            end_cancel(self.host, order, E_IN_DOUBT, "the connection was lost");
            if order.state != ORDER_PENDING { continue; }
            // It may have arrived. Never call that rejected, never send it again: the host will sync.
            tell(self.host, *id, order, ORDER_IN_DOUBT, 0);
            end_submit(self.host, order, E_IN_DOUBT, "the connection was lost");
        }
    }

    /// None: the line made no sense.
    fn on_line(&mut self, text: &str) -> Option<()> {
        let host = self.host;
        let word: Vec<&str> = text.split_whitespace().collect();
        let flags = if self.sync != 0 { EVF_SNAPSHOT } else { 0 };
        match *word.first()? {
            "WELCOME" => {
                self.ready = true;
                host.link(LINK_UP, OK, "venue");
            }
            "DENIED" => host.link(LINK_DOWN, E_AUTH, "venue"),
            "END" => {
                let sync = std::mem::take(&mut self.sync);
                if sync != 0 { host.done(sync, OK, ""); }
            }
            "BALANCE" => {
                let total = parse_decimal(word.get(2)?)?;
                let total = Amount { lo: total as u64, hi: if total < 0 { -1 } else { 0 } };
                let head = Event { kind: EV_BALANCE, flags, ..Default::default() };
                host.emit(EvBalance { head, total, available: total, asset: Text::default() }, &[word[1]], |event, at| event.asset = at[0]);
            }
            "ORDER" => {
                // Part of a sync. It may be an order of a run before this one: then this is how we learn of it.
                let id = parse_id(word.get(1)?)?;
                let (qty, limit) = (parse_decimal(word.get(3)?)?, parse_decimal(word.get(5)?)?);
                let order = self.orders.entry(id).or_default();
                if order.instrument == 0 { order.instrument = 1; }
                order.side = if word[2] == "buy" { BUY } else { SELL };
                (order.qty, order.limit) = (qty, limit);
                let state = if order.ended() { order.state } else { ORDER_OPEN };
                if word[4] == "open" { tell(host, id, order, state, EVF_SNAPSHOT); }
            }
            kind => {
                let id = parse_id(word.get(1)?)?;
                let order = self.orders.get_mut(&id)?;
                let why = word.get(2).copied().unwrap_or("");
                match kind {
                    "ACK" => {
                        if order.state == ORDER_PENDING || order.state == ORDER_IN_DOUBT { tell(host, id, order, ORDER_OPEN, 0); }
                        end_submit(host, order, OK, "");
                    }
                    "REJECT" => {
                        if !order.ended() { tell(host, id, order, ORDER_REJECTED, 0); }
                        end_submit(host, order, E_REJECTED, why);
                    }
                    "FILL" => {
                        let (qty, price, fee) = (parse_decimal(word.get(3)?)?, parse_decimal(word.get(4)?)?, parse_decimal(word.get(5)?)?);
                        let fresh = order.fills.insert(why.to_string());
                        if !fresh && flags == 0 { return Some(()); }
                        if fresh {
                            order.filled += qty;
                            order.notional += qty as i128 * price as i128;
                        }
                        let event = EvFill {
                            head: Event { kind: EV_FILL, flags, instrument: order.instrument, ..Default::default() }, order: id, qty, price,
                            fee: Amount { lo: fee as u64, hi: if fee < 0 { -1 } else { 0 } }, side: order.side, liquidity: LIQUIDITY_TAKER, ..Default::default()
                        };
                        host.emit(event, &["USDT", why], |event, at| (event.fee_asset, event.fill_id) = (at[0], at[1]));
                        if !fresh { return Some(()); }
                        tell(host, id, order, if order.filled >= order.qty { ORDER_FILLED } else { ORDER_OPEN }, flags);
                        if order.state == ORDER_FILLED {
                            end_submit(host, order, OK, "");
                            end_cancel(host, order, E_REJECTED, "the order was filled first");
                        }
                    }
                    "CANCELED" => {
                        if !order.ended() { tell(host, id, order, ORDER_CANCELED, 0); }
                        end_submit(host, order, OK, "");
                        end_cancel(host, order, OK, "");
                    }
                    "NOCANCEL" => end_cancel(host, order, E_REJECTED, why),
                    _ => return None,
                }
            }
        }
        Some(())
    }

    /// What must hold before a byte leaves.
    fn check(&self, order: &Order) -> Result<Instrument, Refusal> {
        let kind = order.features & FEATURES;
        if order.features & !FEATURES != 0 || (kind != ORD_MARKET && kind != ORD_LIMIT) { return refuse(E_UNSUPPORTED, "only plain market and limit orders"); }
        if order.side != BUY && order.side != SELL { return refuse(E_INVALID, "side must be buy or sell"); }
        let about = self.host.instrument(order.instrument)?;
        if about.venue_symbol.len == 0 { return refuse(E_INVALID, "the instrument needs a venue symbol"); }
        let rules = [
            (order.qty > 0, "qty must be above 0"),
            (about.lot <= 0 || order.qty % about.lot == 0, "qty is no multiple of the lot"),
            (about.min_qty <= 0 || order.qty >= about.min_qty, "qty is below min_qty"),
            (about.max_qty <= 0 || order.qty <= about.max_qty, "qty is above max_qty"),
            (kind != ORD_LIMIT || order.limit > 0, "limit must be above 0"),
            (kind != ORD_LIMIT || about.tick <= 0 || order.limit % about.tick == 0, "limit is no multiple of the tick"),
        ];
        if let Some((_, rule)) = rules.iter().find(|(holds, _)| !holds) { return refuse(E_RANGE, *rule); }
        if order.not_after != 0 && self.host.now() > order.not_after { return refuse(E_TIMEOUT, "not_after has passed"); }
        Ok(about)
    }
}

// ---- the broker's functions; VENUE, second half: what it is told

extern "C" fn submit(instance: *mut Instance, wanted: *const Order, request: u64, error: *mut Error) -> Status {
    guard(error, || {
        let broker = me::<Broker>(instance);
        broker.state.needs_running()?;
        refuse_unknown_tail(wanted)?;
        let wanted = unsafe { *wanted };
        let about = broker.check(&wanted)?;
        if broker.orders.contains_key(&wanted.id) { return refuse(E_DUPLICATE, "this order id was used before"); }
        if !broker.ready { return refuse(E_NETWORK, "not connected"); }
        // The host's id travels as the venue's client order id. A venue without such a field needs `put` here, before the
        // first byte leaves, and `get` in sync.
        let text = format!(
            "NEW {} {} {} {} {} {}\n", id_text(wanted.id), String::from_utf8_lossy(bytes_of(&about.venue_symbol)), if wanted.side == BUY { "buy" } else { "sell" },
            if wanted.features & ORD_MARKET != 0 { "market" } else { "limit" }, decimal(wanted.qty), decimal(wanted.limit)
        );
        let mut order = Known { instrument: wanted.instrument, side: wanted.side, qty: wanted.qty, limit: wanted.limit, submit: request, ..Default::default() };
        tell(broker.host, wanted.id, &mut order, ORDER_PENDING, 0);
        if !broker.line.send(&text) { return refuse(E_NETWORK, "not connected"); }
        order.timer = broker.host.timer(broker.patience * 1_000_000_000, 0, 1);
        broker.orders.insert(wanted.id, order);
        Ok(())
    })
}

extern "C" fn cancel(instance: *mut Instance, id: Id, request: u64, error: *mut Error) -> Status {
    guard(error, || {
        let broker = me::<Broker>(instance);
        broker.state.needs_running()?;
        let Some(order) = broker.orders.get_mut(&id) else { return refuse(E_NOT_FOUND, "no such order") };
        if order.ended() { return refuse(E_REJECTED, "the order has ended"); }
        if order.cancel != 0 { return refuse(E_DUPLICATE, "a cancel is on its way already"); }
        if !broker.ready || !broker.line.send(&format!("CANCEL {}\n", id_text(id))) { return refuse(E_NETWORK, "not connected"); }
        order.cancel = request;
        Ok(())
    })
}

extern "C" fn sync(instance: *mut Instance, _since: Time, request: u64, error: *mut Error) -> Status {
    guard(error, || {
        let broker = me::<Broker>(instance);
        broker.state.needs_running()?;
        if broker.sync != 0 { return refuse(E_AGAIN, "a sync is running already"); }
        if !broker.ready || !broker.line.send("SYNC\n") { return refuse(E_NETWORK, "not connected"); }
        broker.sync = request; // this venue tells everything it has, whatever `since` says
        Ok(())
    })
}

/// "live" once its endpoints move money: the host trades live with no other, and never by accident with that one.
extern "C" fn describe(_instance: *mut Instance, out: *const Writer) -> Status {
    let text = "{\"environment\":\"paper\"}";
    unsafe { ((*out).write)(out, text.as_ptr() as *const c_void, text.len()) }
}

static DESCRIPTION: DescribeTable = DescribeTable { struct_size: std::mem::size_of::<DescribeTable>() as u32, reserved: 0, describe };
static TABLE: BrokerTable = BrokerTable { struct_size: std::mem::size_of::<BrokerTable>() as u32, reserved: 0, order_features: FEATURES, submit, cancel, replace: None, sync };
static INTERFACES: Static<[Interface; 2]> = Static([
    Interface { id: c"keel.broker/1".as_ptr(), table: &TABLE as *const BrokerTable as *const c_void },
    Interface { id: c"keel.describe/1".as_ptr(), table: &DESCRIPTION as *const DescribeTable as *const c_void },
]);
static COMPONENT: Static<Component> = Static(Component {
    struct_size: std::mem::size_of::<Component>() as u32, flags: 0, id: c"@ID@".as_ptr(), name: c"@NAME@".as_ptr(), vendor: c"".as_ptr(),
    version: c"0.1.0".as_ptr(), license: c"MIT".as_ptr(), url: c"".as_ptr(), toolchain: c"rust".as_ptr(), config_schema: SCHEMA.as_ptr(), state_version: 0, state_oldest: 0,
    interfaces: INTERFACES.0.as_ptr(), interface_count: 2, reserved: 0, check_config: None,
    create: create::<Broker>, start: start::<Broker>, stop: stop::<Broker>, destroy: destroy::<Broker>,
    on_timer: Some(on_timer::<Broker>), on_fd: Some(on_fd::<Broker>), on_wake: Some(on_wake::<Broker>),
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
