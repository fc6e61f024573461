//! keel.h 1.0 in Rust, and small helpers over it. Written by `keel plugin new`; --upgrade replaces it, so keep your own
//! code elsewhere. Only `std`, no build script, no bindgen: keel.h has no bit-fields, no unions and no hidden padding, so
//! `repr(C)` says the same.
#![allow(dead_code)]

use std::ffi::{c_char, c_int, c_void};

pub type Fixed = i64; // x 1e8
pub type Time = i64; // nanoseconds since 1970-01-01 UTC
pub type Span = i64; // nanoseconds
pub type Status = i32;
pub type InstrumentId = u32;
pub const ONE: Fixed = 100_000_000;
pub const ABI_MAJOR: u32 = 1;

#[repr(C)] #[derive(Clone, Copy, Default, PartialEq)] pub struct Amount { pub lo: u64, pub hi: i64 }
#[repr(C)] #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)] pub struct Id { pub hi: u64, pub lo: u64 }
#[repr(C)] #[derive(Clone, Copy, Default, PartialEq)] pub struct Hash { pub hi: u64, pub lo: u64 }
#[repr(C)] #[derive(Clone, Copy)] pub struct Str { pub ptr: *const c_char, pub len: usize }
#[repr(C)] #[derive(Clone, Copy, Default)] pub struct Text { pub off: u32, pub len: u32 }
#[repr(C)] #[derive(Clone, Copy, Default)] pub struct List { pub off: u32, pub count: u32 }

pub const OK: Status = 0;
pub const ASK: Status = 1;
pub const E_INVALID: Status = -1;
pub const E_STATE: Status = -2;
pub const E_UNSUPPORTED: Status = -3;
pub const E_AGAIN: Status = -4;
pub const E_RANGE: Status = -5;
pub const E_NOT_FOUND: Status = -6;
pub const E_AUTH: Status = -7;
pub const E_RATE: Status = -8;
pub const E_NETWORK: Status = -9;
pub const E_REJECTED: Status = -10;
pub const E_IN_DOUBT: Status = -11;
pub const E_TIMEOUT: Status = -12;
pub const E_INTERNAL: Status = -13;
pub const E_DUPLICATE: Status = -14;

#[repr(C)] pub struct Error { pub struct_size: u32, pub status: Status, pub vendor_code: i64, pub retry_after: Span, pub message: [u8; 256] }
#[repr(C)] pub struct Writer { pub ctx: *mut c_void, pub write: extern "C" fn(*const Writer, *const c_void, usize) -> Status }
#[repr(C)] pub struct Reader { pub ctx: *mut c_void, pub read: extern "C" fn(*const Reader, *mut c_void, usize) -> i64 }

#[repr(C)] #[derive(Clone, Copy, Default)]
pub struct Event { pub size: u32, pub kind: u16, pub flags: u16, pub instrument: InstrumentId, pub reserved: u32, pub request: u64, pub at_source: Time, pub at_host: Time }

pub const EVF_SNAPSHOT: u16 = 1;
pub const EVF_REPLAY: u16 = 2;
pub const EV_DONE: u16 = 1;
pub const EV_LINK: u16 = 2;
pub const EV_QUOTE: u16 = 10;
pub const EV_TRADE: u16 = 11;
pub const EV_BAR: u16 = 12;
pub const EV_ORDER: u16 = 30;
pub const EV_FILL: u16 = 31;
pub const EV_BALANCE: u16 = 32;
pub const EV_POSITION: u16 = 33;
pub const EV_DECISION: u16 = 40;
pub const EV_CHILD: u16 = 50;
pub const EV_CHILD_CANCEL: u16 = 51;
pub const LINK_UP: u32 = 1;
pub const LINK_DOWN: u32 = 2;
pub const BUY: u32 = 1;
pub const SELL: u32 = 2;
pub const ORDER_PENDING: u32 = 1;
pub const ORDER_OPEN: u32 = 2;
pub const ORDER_FILLED: u32 = 3;
pub const ORDER_CANCELED: u32 = 4;
pub const ORDER_REJECTED: u32 = 5;
pub const ORDER_EXPIRED: u32 = 6;
pub const ORDER_IN_DOUBT: u32 = 7;
pub const LIQUIDITY_TAKER: u32 = 2;

#[repr(C)] #[derive(Clone, Copy, Default)] pub struct EvDone { pub head: Event, pub status: Status, pub reserved: u32, pub vendor_code: i64, pub retry_after: Span, pub message: Text }
#[repr(C)] #[derive(Clone, Copy, Default)] pub struct EvLink { pub head: Event, pub state: u32, pub why: Status, pub name: Text, pub message: Text }
#[repr(C)] #[derive(Clone, Copy, Default)] pub struct EvQuote { pub head: Event, pub bid: Fixed, pub bid_qty: Fixed, pub ask: Fixed, pub ask_qty: Fixed }
#[repr(C)] #[derive(Clone, Copy, Default)]
pub struct EvOrder { pub head: Event, pub order: Id, pub state: u32, pub side: u32, pub filled: Fixed, pub leaves: Fixed, pub average: Fixed, pub limit: Fixed, pub vendor_code: i64, pub venue_id: Text, pub message: Text }
#[repr(C)] #[derive(Clone, Copy, Default)]
pub struct EvFill { pub head: Event, pub order: Id, pub qty: Fixed, pub price: Fixed, pub fee: Amount, pub side: u32, pub liquidity: u32, pub fee_asset: Text, pub fill_id: Text, pub venue_id: Text }
#[repr(C)] #[derive(Clone, Copy, Default)] pub struct EvBalance { pub head: Event, pub total: Amount, pub available: Amount, pub asset: Text }
#[repr(C)] #[derive(Clone, Copy, Default)] pub struct EvChild { pub head: Event, pub order: Text }
#[repr(C)] #[derive(Clone, Copy, Default)] pub struct EvChildCancel { pub head: Event, pub order: Id }
#[repr(C)] #[derive(Clone, Copy, Default)]
pub struct EvDecision {
    pub head: Event, pub action: u32, pub from_record: u32, pub snapshot: Hash, pub fraction: Fixed, pub quantity: Fixed, pub confidence: Fixed, pub exit_probability: Fixed,
    pub next_check: Span, pub valid_until: Time, pub cost: Amount, pub tokens_in: u64, pub tokens_cached: u64, pub tokens_out: u64, pub signals: List, pub wakes: List,
    pub reason: Text, pub memory: Text, pub model: Text,
}

#[repr(C)] #[derive(Clone, Copy)]
pub struct Instrument {
    pub struct_size: u32, pub instrument_kind: u32, pub id: InstrumentId, pub reserved: u32, pub symbol: Str, pub venue_symbol: Str, pub base_asset: Str, pub quote_asset: Str,
    pub tick: Fixed, pub lot: Fixed, pub min_qty: Fixed, pub max_qty: Fixed, pub multiplier: Fixed, pub min_notional: Amount,
}

pub const ORD_MARKET: u64 = 1 << 0;
pub const ORD_LIMIT: u64 = 1 << 1;
pub const ORD_POST_ONLY: u64 = 1 << 8;
pub const ORD_REDUCE_ONLY: u64 = 1 << 9;
pub const ORD_IOC: u64 = 1 << 10;
pub const ORD_FOK: u64 = 1 << 11;

#[repr(C)] #[derive(Clone, Copy, Default)]
pub struct Order { pub struct_size: u32, pub side: u32, pub features: u64, pub id: Id, pub instrument: InstrumentId, pub reserved: u32, pub qty: Fixed, pub limit: Fixed, pub trigger: Fixed, pub not_after: Time }

pub const ACT_HOLD: u32 = 0;
pub const ACT_BUY: u32 = 1;
pub const ACT_SELL: u32 = 2;
pub const MAY_BUY: u32 = 1 << 1;
pub const MAY_SELL: u32 = 1 << 2;
pub const MAY_SHORT: u32 = 1 << 3;

#[repr(C)] #[derive(Clone, Copy)] pub struct Bar { pub open_time: Time, pub open: Fixed, pub high: Fixed, pub low: Fixed, pub close: Fixed, pub volume: Amount }
#[repr(C)] #[derive(Clone, Copy)] pub struct Series { pub duration: Span, pub bars: List }
#[repr(C)]
pub struct Snapshot {
    pub struct_size: u32, pub size: u32, pub hash: Hash, pub sequence: u64, pub now: Time, pub instrument: InstrumentId, pub purpose: u32, pub gate: u32, pub allowed: u32,
    pub symbol: Text, pub pipeline: Text,
    pub last: Fixed, pub bid: Fixed, pub ask: Fixed, pub bid_qty: Fixed, pub ask_qty: Fixed, pub tick: Fixed, pub lot: Fixed, pub min_qty: Fixed,
    pub position: Amount, pub entry: Fixed, pub opened: Time, pub peak: Fixed, pub unrealised: Amount, pub realised_today: Amount, pub equity: Amount, pub cash: Amount, pub fees_today: Amount,
    pub stop: Fixed, pub trail: Fixed, pub hard_stop: Fixed, pub stop_fraction: Fixed, pub trail_fraction: Fixed, pub trail_activation: Fixed, pub stages: List,
    pub max_fraction: Fixed, pub max_position: Amount, pub max_order: Amount, pub daily_loss_left: Amount, pub kelly_cap: Fixed, pub orders_left: u32, pub losing_streak: u32,
    pub min_check: Span, pub max_check: Span,
    pub regime: u32, pub macro_regime: u32, pub regime_probability: f64, pub macro_probability: f64,
    pub funding_rate: f64, pub open_interest: f64, pub open_interest_change: f64, pub cumulative_delta: f64, pub long_short: f64, pub taker_ratio: f64, pub liquidation: f64, pub margin_ratio: f64,
    pub price_z: f64, pub volume_z: f64, pub atr: f64,
    pub series: List, pub values: List, pub weights: List, pub past: List, pub news: List, pub memory: Text, pub similar: Text,
}

#[repr(C)]
pub struct HostTable {
    pub struct_size: u32, pub abi_major: u16, pub abi_minor: u16, pub ctx: *mut c_void,
    pub service: extern "C" fn(*const HostTable, *const c_char) -> *const c_void,
    pub log: extern "C" fn(*const HostTable, u32, Str),
    pub now: extern "C" fn(*const HostTable) -> Time,
    pub emit: extern "C" fn(*const HostTable, *const Event) -> Status,
    pub wake: extern "C" fn(*const HostTable) -> Status,
    pub fail: extern "C" fn(*const HostTable, Status, Str),
    pub timer: extern "C" fn(*const HostTable, Span, Span, u64, *mut u64) -> Status,
    pub timer_stop: extern "C" fn(*const HostTable, u64) -> Status,
    pub watch: extern "C" fn(*const HostTable, c_int, u32) -> Status,
    pub secret: extern "C" fn(*const HostTable, Str, *const Writer) -> Status,
    pub put: extern "C" fn(*const HostTable, Str, *const c_void, usize) -> Status,
    pub get: extern "C" fn(*const HostTable, Str, *const Writer) -> Status,
    pub instrument: extern "C" fn(*const HostTable, InstrumentId, *mut Instrument) -> Status,
}

pub const LOG_INFO: u32 = 2;
pub const LOG_WARN: u32 = 3;
pub const READABLE: u32 = 1;
pub const WRITABLE: u32 = 2;
pub const HANGUP: u32 = 4;

pub type Instance = c_void;
#[repr(C)] pub struct Interface { pub id: *const c_char, pub table: *const c_void }
pub const COMPONENT_INLINE: u32 = 4;
pub const COMPONENT_DETERMINISTIC: u32 = 8;

#[repr(C)]
pub struct Component {
    pub struct_size: u32, pub flags: u32, pub id: *const c_char, pub name: *const c_char, pub vendor: *const c_char, pub version: *const c_char, pub license: *const c_char,
    pub url: *const c_char, pub toolchain: *const c_char, pub config_schema: *const c_char, pub state_version: u32, pub state_oldest: u32,
    pub interfaces: *const Interface, pub interface_count: u32, pub reserved: u32,
    pub check_config: Option<extern "C" fn(*const Component, Str, *const Writer) -> Status>,
    pub create: extern "C" fn(*const Component, *const HostTable, Str, Str, *mut *mut Instance, *mut Error) -> Status,
    pub start: extern "C" fn(*mut Instance, *mut Error) -> Status,
    pub stop: extern "C" fn(*mut Instance, Time, u64, *mut Error) -> Status,
    pub destroy: extern "C" fn(*mut Instance),
    pub on_timer: Option<extern "C" fn(*mut Instance, u64, u64)>,
    pub on_fd: Option<extern "C" fn(*mut Instance, c_int, u32)>,
    pub on_wake: Option<extern "C" fn(*mut Instance)>,
}
#[repr(C)] pub struct Library { pub struct_size: u32, pub abi_major: u16, pub abi_minor: u16, pub components: *const *const Component, pub component_count: u32, pub reserved: u32 }

pub const CH_QUOTES: u64 = 1 << 0;
#[repr(C)] pub struct FeedTable {
    pub struct_size: u32, pub reserved: u32, pub channels: u64, pub silence: Span,
    pub subscribe: extern "C" fn(*mut Instance, InstrumentId, u64, u64, *mut Error) -> Status,
    pub unsubscribe: extern "C" fn(*mut Instance, InstrumentId, u64, u64, *mut Error) -> Status,
}
#[repr(C)] pub struct BrokerTable {
    pub struct_size: u32, pub reserved: u32, pub order_features: u64,
    pub submit: extern "C" fn(*mut Instance, *const Order, u64, *mut Error) -> Status,
    pub cancel: extern "C" fn(*mut Instance, Id, u64, *mut Error) -> Status,
    pub replace: Option<extern "C" fn(*mut Instance, Id, *const Order, u64, *mut Error) -> Status>,
    pub sync: extern "C" fn(*mut Instance, Time, u64, *mut Error) -> Status,
}
pub const WANT_BARS: u64 = 1 << 0;
#[repr(C)] pub struct DeciderTable {
    pub struct_size: u32, pub bars_wanted: u32, pub wants: u64,
    pub decide: extern "C" fn(*mut Instance, *const Snapshot, Time, u64, *mut Error) -> Status,
    pub cancel: extern "C" fn(*mut Instance, u64),
    pub observe: Option<extern "C" fn(*mut Instance, *const Event) -> Status>,
}
#[repr(C)] pub struct RouterTable {
    pub struct_size: u32, pub reserved: u32,
    pub route: extern "C" fn(*mut Instance, *const Order, u64, *mut Error) -> Status,
    pub on_event: extern "C" fn(*mut Instance, *const Event),
    pub cancel: extern "C" fn(*mut Instance, u64),
}

#[repr(C)] pub struct DescribeTable { pub struct_size: u32, pub reserved: u32, pub describe: extern "C" fn(*mut Instance, *const Writer) -> Status }

// The sizes of ABI 1.0. A slip in the structs above doesn't compile.
const _: () = {
    use std::mem::size_of;
    assert!(size_of::<Error>() == 280 && size_of::<Event>() == 40 && size_of::<EvDone>() == 72 && size_of::<EvLink>() == 64);
    assert!(size_of::<EvOrder>() == 120 && size_of::<EvFill>() == 120 && size_of::<EvBalance>() == 80 && size_of::<EvDecision>() == 192);
    assert!(size_of::<Instrument>() == 136 && size_of::<Order>() == 72 && size_of::<Snapshot>() == 568 && size_of::<HostTable>() == 120);
    assert!(size_of::<Component>() == 160 && size_of::<Library>() == 24 && size_of::<FeedTable>() == 40 && size_of::<BrokerTable>() == 48);
    assert!(size_of::<DeciderTable>() == 40 && size_of::<RouterTable>() == 32);
};

/// A table that lives as long as the process and is never written.
pub struct Static<T>(pub T);
unsafe impl<T> Sync for Static<T> {}

// ---- helpers ----------------------------------------------------------------------------------------------------------

/// A refusal on its way to keel_error.
pub struct Refusal(pub Status, pub String);
pub type Outcome = Result<(), Refusal>;
pub fn refuse<T>(status: Status, why: impl Into<String>) -> Result<T, Refusal> { Err(Refusal(status, why.into())) }

/// Fills the caller's error as far as it goes.
pub fn fill(error: *mut Error, refusal: &Refusal) -> Status {
    if error.is_null() { return refusal.0; }
    unsafe {
        let size = (*error).struct_size as usize;
        if size >= 8 { (*error).status = refusal.0; }
        if size > 24 {
            let room = (size - 24).min(256) - 1;
            let mut end = refusal.1.len().min(room);
            while !refusal.1.is_char_boundary(end) { end -= 1; }
            let message = std::ptr::addr_of_mut!((*error).message) as *mut u8;
            std::ptr::copy_nonoverlapping(refusal.1.as_ptr(), message, end);
            *message.add(end) = 0;
        }
    }
    refusal.0
}

/// Runs the inside of a call. Rule 6: a panic stays here and becomes KEEL_E_INTERNAL.
pub fn guard(error: *mut Error, body: impl FnOnce() -> Outcome) -> Status {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(())) => OK,
        Ok(Err(refusal)) => fill(error, &refusal),
        Err(_) => fill(error, &Refusal(E_INTERNAL, "the plugin panicked".into())),
    }
}

/// The same for calls that have no status to return.
pub fn guard_quiet(body: impl FnOnce()) { let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)); }

pub fn str_of(text: &str) -> Str { Str { ptr: text.as_ptr() as *const c_char, len: text.len() } }

/// The bytes of a borrowed text, for the length of the call.
pub fn bytes_of(text: &Str) -> &[u8] {
    if text.len == 0 { return &[]; }
    unsafe { std::slice::from_raw_parts(text.ptr as *const u8, text.len) }
}

/// The host, as long as the instance lives.
#[derive(Clone, Copy)]
pub struct Host(pub *const HostTable);

impl Host {
    /// Refuses hosts this plugin can't live on. Rule 3: struct_size comes before everything behind it.
    pub fn accept(table: *const HostTable) -> Result<Host, Refusal> {
        let fits = !table.is_null() && unsafe { (*table).struct_size as usize >= std::mem::size_of::<HostTable>() && (*table).abi_major as u32 == ABI_MAJOR };
        if fits { Ok(Host(table)) } else { refuse(E_UNSUPPORTED, "this plugin needs a host of ABI 1") }
    }
    fn table(&self) -> &HostTable { unsafe { &*self.0 } }
    pub fn now(&self) -> Time { (self.table().now)(self.0) }
    pub fn log(&self, level: u32, text: &str) { (self.table().log)(self.0, level, str_of(text)) }
    pub fn watch(&self, fd: c_int, interest: u32) -> Status { (self.table().watch)(self.0, fd, interest) }
    pub fn wake(&self) -> Status { (self.table().wake)(self.0) }
    pub fn timer(&self, delay: Span, period: Span, tag: u64) -> Option<u64> {
        let mut id = 0;
        ((self.table().timer)(self.0, delay, period, tag, &mut id) == OK).then_some(id)
    }
    pub fn timer_stop(&self, id: u64) { (self.table().timer_stop)(self.0, id); }
    pub fn instrument(&self, id: InstrumentId) -> Result<Instrument, Refusal> {
        let mut about: Instrument = unsafe { std::mem::zeroed() };
        about.struct_size = std::mem::size_of::<Instrument>() as u32;
        if (self.table().instrument)(self.0, id, &mut about) == OK { Ok(about) } else { refuse(E_NOT_FOUND, "unknown instrument") }
    }
    pub fn secret(&self, name: &str) -> Option<Vec<u8>> {
        extern "C" fn keep(writer: *const Writer, bytes: *const c_void, length: usize) -> Status {
            let into = unsafe { &mut *((*writer).ctx as *mut Vec<u8>) };
            if length > 0 { into.extend_from_slice(unsafe { std::slice::from_raw_parts(bytes as *const u8, length) }); }
            OK
        }
        let mut value: Vec<u8> = Vec::new();
        let writer = Writer { ctx: &mut value as *mut Vec<u8> as *mut c_void, write: keep };
        ((self.table().secret)(self.0, str_of(name), &writer) == OK).then_some(value)
    }

    /// Emits an event that starts with an `Event` head; `texts` are laid behind it, and `place` gets where they lie.
    pub fn emit<T: Copy>(&self, mut event: T, texts: &[&str], place: impl FnOnce(&mut T, &[Text])) -> Status {
        let body = std::mem::size_of::<T>();
        let (mut tail, mut places) = (Vec::new(), Vec::new());
        for text in texts {
            places.push(Text { off: (body + tail.len()) as u32, len: text.len() as u32 });
            tail.extend_from_slice(text.as_bytes());
        }
        place(&mut event, &places);
        let total = body + tail.len();
        // In words of 8 bytes: an event is aligned like its first member.
        let mut out = vec![0u64; total.div_ceil(8)];
        unsafe {
            std::ptr::copy_nonoverlapping(&event as *const T as *const u8, out.as_mut_ptr() as *mut u8, body);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), (out.as_mut_ptr() as *mut u8).add(body), tail.len());
            (*(out.as_mut_ptr() as *mut Event)).size = total as u32;
            (self.table().emit)(self.0, out.as_ptr() as *const Event)
        }
    }
    /// The last event of a request.
    pub fn done(&self, request: u64, status: Status, why: &str) {
        let event = EvDone { head: Event { kind: EV_DONE, request, ..Default::default() }, status, ..Default::default() };
        self.emit(event, &[why], |event, at| event.message = at[0]);
    }
    pub fn link(&self, state: u32, why: Status, name: &str) {
        let event = EvLink { head: Event { kind: EV_LINK, ..Default::default() }, state, why, ..Default::default() };
        self.emit(event, &[name], |event, at| event.name = at[0]);
    }
}

/// Created, running, stopped: what every instance keeps.
#[derive(Clone, Copy, PartialEq)]
pub enum State { Created, Running, Stopped }

impl State {
    pub fn needs_running(self) -> Outcome { if self == State::Running { Ok(()) } else { refuse(E_STATE, "it is not running") } }
    pub fn needs_rest(self) -> Outcome { if self == State::Running { refuse(E_STATE, "it is running already") } else { Ok(()) } }
}

/// Strict: bytes of an order behind the part we know must be zero.
pub fn refuse_unknown_tail(order: *const Order) -> Outcome {
    let (known, size) = (std::mem::size_of::<Order>(), unsafe { (*order).struct_size as usize });
    for at in known..size {
        if unsafe { *(order as *const u8).add(at) } != 0 { return refuse(E_UNSUPPORTED, "the order has parts this plugin doesn't know"); }
    }
    Ok(())
}

/// Items of a list behind a snapshot.
///
/// # Safety
/// `snapshot` must be the one `decide` was called with, during that call.
pub unsafe fn list<'a, T>(snapshot: *const Snapshot, list: List) -> &'a [T] {
    if list.count == 0 { return &[]; }
    std::slice::from_raw_parts((snapshot as *const u8).add(list.off as usize) as *const T, list.count as usize)
}

// ---- decimals ---------------------------------------------------------------------------------------------------------

pub fn decimal(value: Fixed) -> String {
    let size = value.unsigned_abs();
    format!("{}{}.{:08}", if value < 0 { "-" } else { "" }, size / ONE as u64, size % ONE as u64)
}

/// None if it is no number, has more than eight places or doesn't fit: never a rounded value.
pub fn parse_decimal(text: &str) -> Option<Fixed> {
    let (negative, text) = match text.strip_prefix('-') { Some(rest) => (true, rest), None => (false, text) };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = part.trim_end_matches('0');
    if whole.is_empty() || part.len() > 8 || !whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit()) { return None; }
    let places: i64 = if part.is_empty() { 0 } else { part.parse::<i64>().ok()? * 10i64.pow(8 - part.len() as u32) };
    let value = whole.parse::<i64>().ok()?.checked_mul(ONE)?.checked_add(places)?;
    Some(if negative { -value } else { value })
}

// ---- configuration: a flat JSON object --------------------------------------------------------------------------------

/// Where a property's value goes. The host has checked the configuration already; a plugin checks again all the same,
/// because a mistyped limit must never be ignored.
pub enum Target<'a> { Integer(i64, i64, &'a mut i64), Text(&'a mut String), Secret(&'a mut String) }

pub struct Field<'a> { pub name: &'static str, pub required: bool, pub into: Target<'a> }

struct Json<'a> { bytes: &'a [u8], at: usize }

impl Json<'_> {
    fn take(&mut self, wanted: u8) -> bool {
        while self.at < self.bytes.len() && b" \n\t\r".contains(&self.bytes[self.at]) { self.at += 1; }
        let found = self.bytes.get(self.at) == Some(&wanted);
        if found { self.at += 1; }
        found
    }
    /// A text without escapes.
    fn text(&mut self) -> Option<String> {
        if !self.take(b'"') { return None; }
        let start = self.at;
        while *self.bytes.get(self.at)? != b'"' {
            if self.bytes[self.at] < 32 || self.bytes[self.at] == b'\\' { return None; }
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(self.bytes[start..self.at - 1].to_vec()).ok()
    }
    fn integer(&mut self) -> Option<i64> {
        let negative = self.take(b'-');
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) { self.at += 1; }
        if self.bytes.get(self.at).is_some_and(|b| b".eE".contains(b)) { return None; }
        let value: i64 = std::str::from_utf8(&self.bytes[start..self.at]).ok()?.parse().ok()?;
        Some(if negative { -value } else { value })
    }
    fn secret(&mut self) -> Option<String> {
        if !self.take(b'{') || self.text()? != "$secret" || !self.take(b':') { return None; }
        let name = self.text()?;
        self.take(b'}').then_some(name)
    }
}

pub fn configure(json: &[u8], fields: &mut [Field]) -> Outcome {
    let mut json = Json { bytes: json, at: 0 };
    let mut seen = vec![false; fields.len()];
    if !json.take(b'{') { return refuse(E_INVALID, "the configuration must be an object"); }
    if !json.take(b'}') {
        loop {
            let name = match json.text() { Some(name) if json.take(b':') => name, _ => return refuse(E_INVALID, "the configuration can't be read") };
            let Some(index) = fields.iter().position(|field| field.name == name) else { return refuse(E_INVALID, format!("\"{name}\" is no property of this plugin")) };
            seen[index] = true;
            match &mut fields[index].into {
                Target::Integer(low, high, into) => match json.integer() {
                    Some(value) if value >= *low && value <= *high => **into = value,
                    _ => return refuse(E_INVALID, format!("\"{name}\" must be a whole number from {low} to {high}")),
                },
                Target::Text(into) => match json.text() { Some(value) => **into = value, None => return refuse(E_INVALID, format!("\"{name}\" must be a text")) },
                Target::Secret(into) => match json.secret() {
                    Some(value) => **into = value,
                    None => return refuse(E_INVALID, format!("\"{name}\" must be a reference like {{\"$secret\": \"name\"}}")),
                },
            }
            if !json.take(b',') { break; }
        }
        if !json.take(b'}') { return refuse(E_INVALID, "the configuration can't be read"); }
    }
    json.take(b' ');
    if json.at != json.bytes.len() { return refuse(E_INVALID, "something follows the configuration"); }
    for (field, seen) in fields.iter().zip(seen) {
        if field.required && !seen { return refuse(E_INVALID, format!("\"{}\" is missing", field.name)); }
    }
    Ok(())
}

// ---- life: the same for every role ------------------------------------------------------------------------------------

/// What a plugin implements. Panics and refusals are taken care of outside.
pub trait Plugin: Sized {
    fn new(host: Host, config: &[u8]) -> Result<Self, Refusal>;
    fn host(&self) -> Host;
    fn state(&mut self) -> &mut State;
    fn start(&mut self) -> Outcome { Ok(()) }
    /// Ends what is open; the DONE of stop itself follows.
    fn stop(&mut self) {}
    fn on_timer(&mut self, _timer: u64, _tag: u64) {}
    fn on_fd(&mut self, _ready: u32) {}
    fn on_wake(&mut self) {}
}

/// The instance behind the pointer. [lane] calls never overlap (rule 4), so one mutable borrow at a time holds.
pub fn me<'a, P: Plugin>(instance: *mut Instance) -> &'a mut P { unsafe { &mut *(instance as *mut P) } }

pub extern "C" fn create<P: Plugin>(_: *const Component, host: *const HostTable, _name: Str, json: Str, out: *mut *mut Instance, error: *mut Error) -> Status {
    guard(error, || {
        let plugin = P::new(Host::accept(host)?, bytes_of(&json))?;
        unsafe { *out = Box::into_raw(Box::new(plugin)) as *mut Instance };
        Ok(())
    })
}
pub extern "C" fn start<P: Plugin>(instance: *mut Instance, error: *mut Error) -> Status {
    guard(error, || {
        let plugin = me::<P>(instance);
        plugin.state().needs_rest()?;
        plugin.start()?;
        *plugin.state() = State::Running;
        Ok(())
    })
}
pub extern "C" fn stop<P: Plugin>(instance: *mut Instance, _deadline: Time, request: u64, error: *mut Error) -> Status {
    guard(error, || {
        let plugin = me::<P>(instance);
        plugin.state().needs_running()?;
        plugin.stop();
        *plugin.state() = State::Stopped;
        plugin.host().done(request, OK, ""); // the very last event
        Ok(())
    })
}
pub extern "C" fn destroy<P: Plugin>(instance: *mut Instance) { guard_quiet(|| drop(unsafe { Box::from_raw(instance as *mut P) })) }
pub extern "C" fn on_timer<P: Plugin>(instance: *mut Instance, timer: u64, tag: u64) { guard_quiet(|| me::<P>(instance).on_timer(timer, tag)) }
pub extern "C" fn on_fd<P: Plugin>(instance: *mut Instance, _fd: c_int, ready: u32) { guard_quiet(|| me::<P>(instance).on_fd(ready)) }
pub extern "C" fn on_wake<P: Plugin>(instance: *mut Instance) { guard_quiet(|| me::<P>(instance).on_wake()) }

// ---- a connection that speaks lines -----------------------------------------------------------------------------------

/// Connects on a thread of its own, because std has no connect that doesn't wait; everything else happens on the lane.
pub struct Line {
    host: Host,
    port: u16,
    stream: Option<std::net::TcpStream>,
    connecting: Option<std::thread::JoinHandle<Option<std::net::TcpStream>>>,
    wanted: bool,
    retry: Option<u64>,
    pause: Span,
    received: Vec<u8>,
    waiting: Vec<u8>,
}

pub enum News { Up, Down, Line(String) }

struct HostPointer(Host);
unsafe impl Send for HostPointer {}

impl Line {
    pub fn new(host: Host) -> Line {
        Line { host, port: 0, stream: None, connecting: None, wanted: false, retry: None, pause: 50_000_000, received: Vec::new(), waiting: Vec::new() }
    }
    /// In start.
    pub fn open(&mut self, port: u16) {
        self.port = port;
        self.wanted = true;
        self.pause = 50_000_000;
        self.connect();
    }
    fn connect(&mut self) {
        let (port, host) = (self.port, HostPointer(self.host));
        let thread = std::thread::Builder::new().name("venue-connect".into()).spawn(move || {
            let host = host; // the whole wrapper, not its inside
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            let stream = std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(500)).ok();
            host.0.wake(); // [any]: leads to on_wake on the lane
            stream
        });
        self.connecting = thread.ok();
        if self.connecting.is_none() { self.lost(&mut Vec::new()); } // no thread to be had: try again later
    }
    /// In stop. The connecting thread is joined: none outlives the instance.
    pub fn close(&mut self) {
        self.wanted = false;
        if let Some(timer) = self.retry.take() { self.host.timer_stop(timer); }
        if let Some(thread) = self.connecting.take() { let _ = thread.join(); }
        self.drop_stream();
    }
    fn drop_stream(&mut self) -> bool {
        use std::os::fd::AsRawFd;
        let Some(stream) = self.stream.take() else { return false };
        self.host.watch(stream.as_raw_fd(), 0); // before it closes: the number may be used again
        self.received.clear();
        self.waiting.clear();
        true
    }
    fn lost(&mut self, news: &mut Vec<News>) {
        if self.drop_stream() { news.push(News::Down); }
        if self.wanted && self.retry.is_none() {
            self.retry = self.host.timer(self.pause, 0, 0);
            self.pause = (self.pause * 2).min(30_000_000_000);
        }
    }
    /// In on_wake.
    pub fn woken(&mut self) -> Vec<News> {
        use std::os::fd::AsRawFd;
        let mut news = Vec::new();
        if !self.connecting.as_ref().is_some_and(|thread| thread.is_finished()) {
            // The wake comes just before the thread ends: ask once more if it was quicker than the thread.
            if self.connecting.is_some() { self.host.wake(); }
            return news;
        }
        match self.connecting.take().and_then(|thread| thread.join().ok()).flatten() {
            Some(stream) if self.wanted && stream.set_nonblocking(true).is_ok() => {
                let _ = stream.set_nodelay(true);
                self.host.watch(stream.as_raw_fd(), READABLE);
                self.stream = Some(stream);
                self.pause = 50_000_000;
                news.push(News::Up);
            }
            _ => self.lost(&mut news),
        }
        news
    }
    /// In on_timer.
    pub fn timer(&mut self, timer: u64) -> bool {
        if self.retry != Some(timer) { return false; }
        self.retry = None;
        if self.wanted && self.stream.is_none() && self.connecting.is_none() { self.connect(); }
        true
    }
    /// False: nothing was sent, certainly.
    pub fn send(&mut self, text: &str) -> bool {
        if self.stream.is_none() || self.waiting.len() + text.len() > 1 << 20 { return false; }
        self.waiting.extend_from_slice(text.as_bytes());
        self.flush();
        true
    }
    fn flush(&mut self) -> bool {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let Some(stream) = self.stream.as_mut() else { return true };
        while !self.waiting.is_empty() {
            match stream.write(&self.waiting) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return false, // the next read finds the end
            }
        }
        let more = if self.waiting.is_empty() { 0 } else { WRITABLE };
        self.host.watch(stream.as_raw_fd(), READABLE | more);
        true
    }
    /// In on_fd.
    pub fn ready(&mut self, ready: u32) -> Vec<News> {
        use std::io::Read;
        let mut news = Vec::new();
        if ready & WRITABLE != 0 && !self.flush() { self.lost(&mut news); }
        if ready & (READABLE | HANGUP) == 0 { return news; }
        let mut buffer = [0u8; 16384];
        loop {
            let Some(stream) = self.stream.as_mut() else { return news };
            match stream.read(&mut buffer) {
                Ok(0) => { self.lost(&mut news); return news; }
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return news,
                Err(_) => { self.lost(&mut news); return news; }
            }
            while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                news.push(News::Line(String::from_utf8_lossy(&self.received[..end]).into_owned()));
                self.received.drain(..=end);
            }
            if self.received.len() > 1 << 20 { self.lost(&mut news); return news; }
        }
    }
}
