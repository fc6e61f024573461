extension Templates {
    /// A router in Rust.
    static let rustRouter = ###"""
//! @NAME@: a router for Keel, in Rust (only std).
//!
//! It sends the parent in at most `slices` children, one after the other. Replace `next_quantity` with your own schedule;
//! the bookkeeping around it - never more than the parent, a doubt counts as live, no refused child twice - is what
//! `keel plugin check` tests.
#[path = "../keel/keel.rs"]
mod keel;
use keel::*;
use std::collections::BTreeMap;
use std::ffi::{c_void, CStr};

// Configuration: the members of Router and the schema.
const SCHEMA: &CStr = c"{\"type\":\"object\",\"properties\":{\"slices\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":4,\"description\":\"Into how many children an order is cut.\"}}}";

struct Child { state: u32, qty: Fixed, filled: Fixed }

impl Child {
    fn ended(&self) -> bool { (ORDER_FILLED..=ORDER_EXPIRED).contains(&self.state) }
}

struct Parent { order: Order, lot: Fixed, least: Fixed, most: Fixed, slice: Fixed, ending: Option<Status>, rejections: u32, children: Vec<Child> }

impl Parent {
    fn down_to_lot(&self, qty: Fixed) -> Fixed { if self.lot > 0 { qty / self.lot * self.lot } else { qty } }
    fn is_live(&self) -> bool { self.children.iter().any(|child| !child.ended()) }
    /// What is not yet placed: a live child counts whole, also one in doubt; an ended one with what it filled.
    fn left(&self) -> Fixed { self.order.qty - self.children.iter().map(|child| if child.ended() { child.filled } else { child.qty }).sum::<Fixed>() }
    /// The schedule: equal slices, the remainder with the last one.
    fn next_quantity(&self) -> Fixed {
        let (rest, mut qty) = (self.left(), self.slice.max(self.least));
        if rest - qty < self.slice / 2 || rest - qty < self.least { qty = rest; }
        if self.most > 0 { qty = qty.min(self.most); }
        self.down_to_lot(qty)
    }
}

struct Router { host: Host, state: State, slices: i64, parents: BTreeMap<u64, Parent> }

impl Plugin for Router {
    fn new(host: Host, config: &[u8]) -> Result<Router, Refusal> {
        let mut slices = 4;
        configure(config, &mut [Field { name: "slices", required: false, into: Target::Integer(1, 100, &mut slices) }])?;
        Ok(Router { host, state: State::Created, slices, parents: BTreeMap::new() })
    }
    fn host(&self) -> Host { self.host }
    fn state(&mut self) -> &mut State { &mut self.state }
    fn stop(&mut self) {
        for request in std::mem::take(&mut self.parents).into_keys() { self.host.done(request, E_STATE, "stopped"); }
    }
}

impl Router {
    fn finish(&mut self, request: u64, status: Status, why: &str) {
        self.parents.remove(&request);
        self.host.done(request, status, why);
    }

    /// Something about the parent has changed: the next child, or the end.
    fn go_on(&mut self, request: u64) {
        let now = self.host.now();
        let Some(parent) = self.parents.get_mut(&request) else { return };
        if parent.is_live() { return; }
        if parent.left() <= 0 { return self.finish(request, OK, ""); }
        if parent.ending.is_none() && parent.order.not_after != 0 && now > parent.order.not_after { parent.ending = Some(E_TIMEOUT); }
        if parent.ending.is_none() && (parent.rejections >= 3 || parent.children.len() >= 1000) { parent.ending = Some(E_REJECTED); }
        if let Some(status) = parent.ending { return self.finish(request, status, "not all of it was placed"); }
        let qty = parent.next_quantity();
        if qty <= 0 || qty < parent.least { return self.finish(request, OK, "the rest is below the minimum"); }
        parent.children.push(Child { state: ORDER_PENDING, qty, filled: 0 });
        let mut order = parent.order; // same side, instrument, limit, features and not_after
        order.struct_size = std::mem::size_of::<Order>() as u32;
        order.id.lo |= parent.children.len() as u64; // the parent's id plus the leg, from 1
        order.qty = qty;
        self.send_child(request, order);
    }

    fn send_child(&self, request: u64, order: Order) {
        #[repr(C)]
        #[derive(Clone, Copy)]
        struct Both { event: EvChild, order: Order }
        let (at, size) = (std::mem::size_of::<EvChild>() as u32, std::mem::size_of::<Order>() as u32);
        let head = Event { kind: EV_CHILD, instrument: order.instrument, request, ..Default::default() };
        self.host.emit(Both { event: EvChild { head, order: Text { off: at, len: size } }, order }, &[], |_, _| {});
    }
}

extern "C" fn route(instance: *mut Instance, order: *const Order, request: u64, error: *mut Error) -> Status {
    guard(error, || {
        let router = me::<Router>(instance);
        router.state.needs_running()?;
        refuse_unknown_tail(order)?;
        let order = unsafe { *order };
        // Strict: what we don't know, we refuse.
        let known = ORD_MARKET | ORD_LIMIT | ORD_POST_ONLY | ORD_REDUCE_ONLY | ORD_IOC;
        if order.features & !known != 0 { return refuse(E_UNSUPPORTED, "the order has features this router doesn't know"); }
        if order.qty <= 0 { return refuse(E_RANGE, "qty must be above 0"); }
        if order.not_after != 0 && router.host.now() > order.not_after { return refuse(E_TIMEOUT, "not_after has passed"); }
        let about = router.host.instrument(order.instrument)?;
        let mut parent = Parent { order, lot: about.lot, least: about.min_qty, most: about.max_qty, slice: 0, ending: None, rejections: 0, children: Vec::new() };
        parent.slice = parent.down_to_lot(order.qty / router.slices);
        router.parents.insert(request, parent);
        router.go_on(request);
        Ok(())
    })
}

extern "C" fn on_event(instance: *mut Instance, event: *const Event) {
    guard_quiet(|| {
        let router = me::<Router>(instance);
        let head = unsafe { &*event };
        if router.state != State::Running || head.kind != EV_ORDER || (head.size as usize) < std::mem::size_of::<EvOrder>() { return; }
        let report = unsafe { *(event as *const EvOrder) };
        let leg = (report.order.lo & 0xffff) as usize;
        let found = router.parents.iter_mut().find(|(_, parent)| parent.order.id.hi == report.order.hi && parent.order.id.lo >> 16 == report.order.lo >> 16);
        let Some((request, parent)) = found else { return };
        let Some(child) = leg.checked_sub(1).and_then(|index| parent.children.get_mut(index)) else { return };
        if child.ended() { return; } // told twice
        child.filled = child.filled.max(report.filled); // cumulative: the highest is the newest
        child.state = report.state;
        if report.state == ORDER_REJECTED {
            // By the venue or by the host's risk gate: never the same again, and not for ever.
            parent.rejections += 1;
            parent.slice = parent.down_to_lot(parent.slice / 2);
        }
        let request = *request;
        router.go_on(request);
    })
}

extern "C" fn cancel(instance: *mut Instance, request: u64) {
    guard_quiet(|| {
        let router = me::<Router>(instance);
        let host = router.host;
        let Some(parent) = router.parents.get_mut(&request) else { return };
        if parent.ending.is_some() { return; }
        parent.ending = Some(E_REJECTED);
        for (index, _) in parent.children.iter().enumerate().filter(|(_, child)| !child.ended()) {
            let order = Id { hi: parent.order.id.hi, lo: parent.order.id.lo | (index as u64 + 1) };
            let head = Event { kind: EV_CHILD_CANCEL, instrument: parent.order.instrument, request, ..Default::default() };
            host.emit(EvChildCancel { head, order }, &[], |_, _| {});
        }
        router.go_on(request); // nothing live: done at once; otherwise after the last child has ended
    })
}

static TABLE: RouterTable = RouterTable { struct_size: std::mem::size_of::<RouterTable>() as u32, reserved: 0, route, on_event, cancel };
static INTERFACES: Static<[Interface; 1]> = Static([Interface { id: c"keel.router/1".as_ptr(), table: &TABLE as *const RouterTable as *const c_void }]);
static COMPONENT: Static<Component> = Static(Component {
    struct_size: std::mem::size_of::<Component>() as u32, flags: COMPONENT_INLINE | COMPONENT_DETERMINISTIC, id: c"@ID@".as_ptr(), name: c"@NAME@".as_ptr(), vendor: c"".as_ptr(),
    version: c"0.1.0".as_ptr(), license: c"MIT".as_ptr(), url: c"".as_ptr(), toolchain: c"rust".as_ptr(), config_schema: SCHEMA.as_ptr(), state_version: 0, state_oldest: 0,
    interfaces: INTERFACES.0.as_ptr(), interface_count: 1, reserved: 0, check_config: None,
    create: create::<Router>, start: start::<Router>, stop: stop::<Router>, destroy: destroy::<Router>,
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
