/// keel.h as this program was built with it: what the scaffold hands out and what failures cite.
/// Written by the test "the header in the program is keel.h" when KEEL_REGENERATE=header is set.
public enum EmbeddedHeader {
    public static let sha256 = "365f65e830017f04b85bd1b05e865cb037a4df529e4001e5c6413413732ed1d8"

    public static let text = #"""
/* keel.h - the Keel plugin interface, ABI 1.0.  One header, no other files, C11.
 *
 * The six rules (everything below follows from them):
 *  1. One exported symbol: keel_plugin_entry.  Everything else is a table.
 *  2. Borrow for the call: a pointer passed either way is valid until the call
 *     returns.  Copy what you keep.  Nothing is freed across the boundary.
 *  3. Every table and struct that can grow starts with struct_size.  Read only
 *     what both sides have; never write past the size the other side set.
 *  4. [lane] calls on one instance never overlap and stay on one OS thread for
 *     the life of the instance.  [any] may come from any thread.
 *  5. Calls return at once.  Results arrive later as events, through emit.
 *  6. Nothing unwinds across: no C++ exception, no Rust panic, no longjmp.
 *
 * How to read a tag.  [loader] the loading thread, before any instance exists.
 * [lane] the instance's thread.  [any] every thread.  After an ampersand stands
 * the state the call is legal in:
 *
 *     create -> created -> start -> running -> stop -> stopped -> destroy
 *
 * Who is strict.  Orders and configurations are strict: an unknown flag, an
 * unknown value or a non-zero byte past what you know is KEEL_E_UNSUPPORTED,
 * because a silently ignored "reduce only" is a loss.  Events, descriptors and
 * status codes are lenient: skip what you don't know.
 */
#ifndef KEEL_H
#define KEEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KEEL_ABI_MAJOR 1u
#define KEEL_ABI_MINOR 0u
#define KEEL_EXPORT __attribute__((visibility("default")))

/* ---- values: frozen, they never grow ------------------------------------- */

typedef int64_t  keel_fixed;           /* price, order quantity or ratio, x 1e8 */
typedef int64_t  keel_time;            /* nanoseconds since 1970-01-01 UTC, 0 = unknown */
typedef int64_t  keel_span;            /* nanoseconds */
typedef uint32_t keel_instrument_id;   /* issued by the host, for this run only; 0 = none */

typedef struct { uint64_t lo; int64_t hi; }     keel_amount; /* 128-bit two's complement, x 1e8: everything cumulative */
typedef struct { uint64_t hi; uint64_t lo; }    keel_id;     /* client order id, issued by the host, unique for ever */
typedef struct { uint64_t hi; uint64_t lo; }    keel_hash;   /* hash of a snapshot, computed by the host */
typedef struct { const char *ptr; size_t len; } keel_str;    /* UTF-8, not terminated, no NUL inside; ptr may be NULL if len is 0 */
typedef struct { uint32_t off; uint32_t len; }  keel_text;   /* UTF-8 inside the same event or snapshot, off from its start */
typedef struct { uint32_t off; uint32_t count; } keel_list;  /* array inside the same event or snapshot, off a multiple of 8 */

#define KEEL_ONE 100000000             /* 1.0 as a keel_fixed */

/* ---- status -------------------------------------------------------------- */

typedef int32_t keel_status;
#define KEEL_OK              0
#define KEEL_ASK             1   /* observe() only: "ask me now", opens the gate     */
#define KEEL_E_INVALID     (-1)  /* bad argument or configuration                    */
#define KEEL_E_STATE       (-2)  /* not legal in this lifecycle state                */
#define KEEL_E_UNSUPPORTED (-3)  /* known, but this side cannot do it                */
#define KEEL_E_AGAIN       (-4)  /* queue full: nothing happened, try later          */
#define KEEL_E_RANGE       (-5)  /* a number does not fit or is outside its limits   */
#define KEEL_E_NOT_FOUND   (-6)
#define KEEL_E_AUTH        (-7)  /* credentials missing, wrong or expired            */
#define KEEL_E_RATE        (-8)  /* see keel_error.retry_after                       */
#define KEEL_E_NETWORK     (-9)  /* certainly not sent                               */
#define KEEL_E_REJECTED   (-10)  /* the venue or a check said no: final              */
#define KEEL_E_IN_DOUBT   (-11)  /* may have been sent: must be reconciled           */
#define KEEL_E_TIMEOUT    (-12)
#define KEEL_E_INTERNAL   (-13)
#define KEEL_E_DUPLICATE  (-14)  /* this order id was used before                    */

typedef struct keel_error {      /* owned by the caller, filled by the callee; the pointer may be NULL */
    uint32_t    struct_size;     /* set by the caller; the callee never writes past it */
    keel_status status;
    int64_t     vendor_code;     /* the venue's own code, 0 = none */
    keel_span   retry_after;     /* 0 = unknown */
    char        message[256];    /* UTF-8, NUL-terminated, truncated to fit */
} keel_error;

/* ---- streams: the only way to return bytes of unknown length ------------- */

typedef struct keel_writer keel_writer;
struct keel_writer {
    void *ctx;
    keel_status (*write)(const keel_writer *writer, const void *bytes, size_t len);
};
typedef struct keel_reader keel_reader;
struct keel_reader {             /* > 0 bytes read (maybe fewer than asked), 0 end, < 0 keel_status */
    void *ctx;
    int64_t (*read)(const keel_reader *reader, void *buffer, size_t capacity);
};

/* ---- events: flat, free of pointers, copied with one memcpy of `size` ---- */

typedef struct keel_event {
    uint32_t           size;       /* header + body + text bytes, at most KEEL_EVENT_MAX */
    uint16_t           kind;       /* KEEL_EV_*; unknown kinds are skipped */
    uint16_t           flags;      /* KEEL_EVF_* */
    keel_instrument_id instrument; /* 0 = none */
    uint32_t           reserved;   /* 0 */
    uint64_t           request;    /* the request this answers, 0 = none */
    keel_time          at_source;  /* the venue's clock, 0 = unknown */
    keel_time          at_host;    /* set by emit */
} keel_event;

#define KEEL_EVENT_MAX 65536u

#define KEEL_EVF_SNAPSHOT 1u       /* part of a sync() or an initial image, not news */
#define KEEL_EVF_REPLAY   2u       /* already delivered once (gap fill after a reconnect) */

#define KEEL_EV_DONE      1u       /* the last event of a request, exactly once           keel_ev_done     */
#define KEEL_EV_LINK      2u       /* connection up, down or degraded                     keel_ev_link     */
#define KEEL_EV_SESSION   3u       /* a market opened, closed or halted                   keel_ev_session  */
#define KEEL_EV_QUOTE    10u       /* 10..29 are lossy: conflated under pressure          keel_ev_quote    */
#define KEEL_EV_TRADE    11u       /*                                                     keel_ev_trade    */
#define KEEL_EV_BAR      12u       /*                                                     keel_ev_bar      */
#define KEEL_EV_VALUE    13u       /* a named number: funding, open interest, CPI         keel_ev_value    */
#define KEEL_EV_DEPTH    14u       /* book levels, changed or whole (SNAPSHOT flag)       keel_ev_depth    */
#define KEEL_EV_NEWS     15u       /* text from outside: data, never an instruction       keel_ev_news     */
#define KEEL_EV_ORDER    30u       /* 30 and up are lossless                              keel_ev_order    */
#define KEEL_EV_FILL     31u       /*                                                     keel_ev_fill     */
#define KEEL_EV_BALANCE  32u       /*                                                     keel_ev_balance  */
#define KEEL_EV_POSITION 33u       /*                                                     keel_ev_position */
#define KEEL_EV_FUNDING  34u       /* a payment booked by the venue                       keel_ev_funding  */
#define KEEL_EV_ACCOUNT  35u       /* answer to keel_account.summary                      keel_ev_account  */
#define KEEL_EV_RANK     36u       /* answer to keel_rankings.fetch                       keel_ev_rank     */
#define KEEL_EV_DECISION 40u       /* a decider's answer                                  keel_ev_decision */
#define KEEL_EV_CHILD    50u       /* router: please submit this order                    keel_ev_child    */
#define KEEL_EV_CHILD_CANCEL 51u   /* router: please cancel this child                    keel_ev_child_cancel */

typedef struct keel_ev_done {
    keel_event head; keel_status status; uint32_t reserved; int64_t vendor_code; keel_span retry_after;
    keel_text message;
} keel_ev_done;

#define KEEL_LINK_UP       1u
#define KEEL_LINK_DOWN     2u
#define KEEL_LINK_DEGRADED 3u      /* connected, but something is missing or late */
typedef struct keel_ev_link {
    keel_event head; uint32_t state; keel_status why; keel_text name; keel_text message;
} keel_ev_link;

#define KEEL_SESSION_OPEN    1u
#define KEEL_SESSION_CLOSED  2u
#define KEEL_SESSION_AUCTION 3u
#define KEEL_SESSION_HALTED  4u
typedef struct keel_ev_session {
    keel_event head; uint32_t state; uint32_t reserved; keel_time next_change; keel_text message;
} keel_ev_session;

typedef struct keel_ev_quote {
    keel_event head; keel_fixed bid; keel_fixed bid_qty; keel_fixed ask; keel_fixed ask_qty;
} keel_ev_quote;

#define KEEL_SIDE_NONE 0u
#define KEEL_BUY       1u
#define KEEL_SELL      2u
typedef struct keel_ev_trade {     /* side: who took liquidity */
    keel_event head; keel_fixed price; keel_fixed qty; uint64_t trade_id; uint32_t side; uint32_t reserved;
} keel_ev_trade;

typedef struct keel_bar {          /* frozen value */
    keel_time open_time; keel_fixed open; keel_fixed high; keel_fixed low; keel_fixed close; keel_amount volume;
} keel_bar;

#define KEEL_BAR_CLOSED 1u         /* final; without it the bar is still forming */
typedef struct keel_ev_bar {       /* at_source: the bar's close time */
    keel_event head; keel_bar bar; keel_span duration; uint32_t bar_flags; uint32_t trades;
} keel_ev_bar;

typedef struct keel_ev_value {     /* statistics only: a double never becomes an order */
    keel_event head; double value; keel_time period_start; keel_time period_end; keel_time released; keel_text name;
} keel_ev_value;

typedef struct keel_level { keel_fixed price; keel_fixed qty; } keel_level;  /* qty 0: the level is gone */
typedef struct keel_ev_depth {     /* lists of keel_level, best first */
    keel_event head; uint64_t sequence; keel_list bids; keel_list asks;
} keel_ev_depth;

typedef struct keel_ev_news {
    keel_event head; keel_text source; keel_text title; keel_text body;
} keel_ev_news;

#define KEEL_ORDER_PENDING   1u    /* taken by the plugin, not yet acknowledged by the venue */
#define KEEL_ORDER_OPEN      2u
#define KEEL_ORDER_FILLED    3u    /* terminal */
#define KEEL_ORDER_CANCELED  4u    /* terminal */
#define KEEL_ORDER_REJECTED  5u    /* terminal: only a definite answer of the venue may say so */
#define KEEL_ORDER_EXPIRED   6u    /* terminal */
#define KEEL_ORDER_IN_DOUBT  7u    /* not terminal: a later state must follow */
typedef struct keel_ev_order {     /* quantities are cumulative, never deltas; id 0,0: placed outside this host */
    keel_event head; keel_id order; uint32_t state; uint32_t side; keel_fixed filled; keel_fixed leaves;
    keel_fixed average; keel_fixed limit; int64_t vendor_code; keel_text venue_id; keel_text message;
} keel_ev_order;

#define KEEL_LIQUIDITY_UNKNOWN 0u
#define KEEL_LIQUIDITY_MAKER   1u
#define KEEL_LIQUIDITY_TAKER   2u
typedef struct keel_ev_fill {      /* fill_id: the venue's, the same whenever this fill is reported */
    keel_event head; keel_id order; keel_fixed qty; keel_fixed price; keel_amount fee;
    uint32_t side; uint32_t liquidity; keel_text fee_asset; keel_text fill_id; keel_text venue_id;
} keel_ev_fill;

typedef struct keel_ev_balance {
    keel_event head; keel_amount total; keel_amount available; keel_text asset;
} keel_ev_balance;

typedef struct keel_ev_position {  /* qty below zero: short; liquidation and margin_ratio 0 = unknown */
    keel_event head; keel_amount qty; keel_fixed entry; keel_fixed liquidation; keel_fixed margin_ratio;
} keel_ev_position;

typedef struct keel_ev_funding {   /* amount below zero: paid by us */
    keel_event head; keel_amount amount; keel_fixed rate; keel_text asset; keel_text payment_id;
} keel_ev_funding;

typedef struct keel_ev_account {
    keel_event head; keel_amount equity; keel_amount cash; keel_amount margin_used; keel_amount buying_power;
    keel_text asset;
} keel_ev_account;

typedef struct keel_ev_rank {
    keel_event head; double value; uint32_t rank; uint32_t reserved; keel_text symbol; keel_text list;
} keel_ev_rank;

/* ---- instruments --------------------------------------------------------- */

#define KEEL_KIND_SPOT   1u
#define KEEL_KIND_PERP   2u
#define KEEL_KIND_STOCK  3u
#define KEEL_KIND_FUTURE 4u
typedef struct keel_instrument {   /* strings stay valid while the instance lives */
    uint32_t struct_size; uint32_t instrument_kind; keel_instrument_id id; uint32_t reserved;
    keel_str symbol;               /* Keel's form: BTC/USDT, BTC/USDT:USDT, 005930/KRW */
    keel_str venue_symbol;         /* the venue's form, empty if the manifest gives none */
    keel_str base_asset; keel_str quote_asset;
    keel_fixed tick; keel_fixed lot; keel_fixed min_qty; keel_fixed max_qty;  /* 0 = not limited */
    keel_fixed multiplier;         /* units a contract stands for, KEEL_ONE for spot */
    keel_amount min_notional;
} keel_instrument;

/* ---- orders: strict ------------------------------------------------------ */

#define KEEL_ORD_MARKET       (1ull << 0)
#define KEEL_ORD_LIMIT        (1ull << 1)
#define KEEL_ORD_STOP         (1ull << 2)  /* market once the price passes `trigger` */
#define KEEL_ORD_STOP_LIMIT   (1ull << 3)
#define KEEL_ORD_TAKE         (1ull << 4)  /* market once the price reaches `trigger` with profit */
#define KEEL_ORD_TAKE_LIMIT   (1ull << 5)  /* exactly one of these six is set */
#define KEEL_ORD_POST_ONLY    (1ull << 8)
#define KEEL_ORD_REDUCE_ONLY  (1ull << 9)
#define KEEL_ORD_IOC          (1ull << 10)
#define KEEL_ORD_FOK          (1ull << 11)

typedef struct keel_order {        /* an unknown bit or a non-zero tail: KEEL_E_UNSUPPORTED */
    uint32_t struct_size;
    uint32_t side;                 /* KEEL_BUY or KEEL_SELL */
    uint64_t features;             /* KEEL_ORD_*, a subset of the broker's order_features */
    keel_id  id;                   /* a parent's low 16 bits are 0; a child is the parent's id plus leg 1..65535 */
    keel_instrument_id instrument;
    uint32_t reserved;             /* 0 */
    keel_fixed qty;                /* above 0 */
    keel_fixed limit;              /* 0 if the kind has none */
    keel_fixed trigger;            /* 0 if the kind has none */
    keel_time  not_after;          /* host clock: never send later than this; 0 = no limit */
} keel_order;

/* The bytes of one keel_order, its id a child of the routed parent. */
typedef struct keel_ev_child        { keel_event head; keel_text order; } keel_ev_child;
typedef struct keel_ev_child_cancel { keel_event head; keel_id order; } keel_ev_child_cancel;

/* ---- snapshot: what a decider sees.  Flat, free of pointers -------------- */

#define KEEL_PURPOSE_ENTRY  1u     /* flat or adding: what should be done? */
#define KEEL_PURPOSE_REVIEW 2u     /* a position is open: hold it, cut it, close it? */

#define KEEL_REGIME_UNKNOWN  0u
#define KEEL_REGIME_CALM     1u
#define KEEL_REGIME_VOLATILE 2u
#define KEEL_MACRO_UNKNOWN    0u
#define KEEL_MACRO_GOLDILOCKS 1u   /* growth up, inflation down */
#define KEEL_MACRO_REFLATION  2u   /* growth up, inflation up */
#define KEEL_MACRO_STAGFLATION 3u  /* growth down, inflation up */
#define KEEL_MACRO_SLOWDOWN   4u   /* growth down, inflation down */

#define KEEL_ACT_HOLD 0u
#define KEEL_ACT_BUY  1u
#define KEEL_ACT_SELL 2u
#define KEEL_MAY_BUY   (1u << 1)   /* bits of keel_snapshot.allowed */
#define KEEL_MAY_SELL  (1u << 2)
#define KEEL_MAY_SHORT (1u << 3)

#define KEEL_GATE_CANDLE (1u << 0) /* bits of keel_snapshot.gate: why you are asked */
#define KEEL_GATE_TIMER  (1u << 1)
#define KEEL_GATE_PRICE_Z  (1u << 2)
#define KEEL_GATE_VOLUME_Z (1u << 3)
#define KEEL_GATE_WAKE   (1u << 4)
#define KEEL_GATE_ASKED  (1u << 5) /* observe() returned KEEL_ASK */
#define KEEL_GATE_REVIEW (1u << 6) /* position review */
#define KEEL_GATE_WATCHDOG (1u << 7)

typedef struct keel_series { keel_span duration; keel_list bars; } keel_series;      /* list of keel_bar, oldest first */
typedef struct keel_named  { keel_text name; double value; keel_time at; keel_time period_end; } keel_named;
typedef struct keel_weight { keel_text signal; double mean; double draw; double observations; } keel_weight;
typedef struct keel_past   {       /* an earlier decision and what became of it */
    keel_time at; uint32_t action; uint32_t outcome_known; keel_fixed confidence; double outcome; keel_text decider; keel_text reason;
} keel_past;
typedef struct keel_stage  { keel_fixed trigger; keel_fixed fraction; uint32_t done; uint32_t reserved; } keel_stage;

typedef struct keel_snapshot {
    uint32_t struct_size;          /* of this struct; the lists lie behind it */
    uint32_t size;                 /* of the whole block */
    keel_hash hash;                /* of the block with these 16 bytes zero; echo it in the decision */
    uint64_t sequence;
    keel_time now;
    keel_instrument_id instrument;
    uint32_t purpose;              /* KEEL_PURPOSE_* */
    uint32_t gate;                 /* KEEL_GATE_* */
    uint32_t allowed;              /* KEEL_MAY_* */
    keel_text symbol; keel_text pipeline;

    keel_fixed last; keel_fixed bid; keel_fixed ask; keel_fixed bid_qty; keel_fixed ask_qty;
    keel_fixed tick; keel_fixed lot; keel_fixed min_qty;

    keel_amount position;          /* below zero: short */
    keel_fixed entry; keel_time opened;
    keel_fixed peak;               /* best price since entry */
    keel_amount unrealised; keel_amount realised_today;
    keel_amount equity; keel_amount cash; keel_amount fees_today;

    keel_fixed stop; keel_fixed trail; keel_fixed hard_stop;            /* price levels in force, 0 = none */
    keel_fixed stop_fraction; keel_fixed trail_fraction; keel_fixed trail_activation;
    keel_list stages;              /* keel_stage */

    keel_fixed max_fraction;       /* most of the equity one order may take */
    keel_amount max_position; keel_amount max_order; keel_amount daily_loss_left;
    keel_fixed kelly_cap;          /* 0 = no history yet */
    uint32_t orders_left; uint32_t losing_streak;
    keel_span min_check; keel_span max_check;                           /* bounds of next_check */

    uint32_t regime; uint32_t macro; double regime_probability; double macro_probability;
    double funding_rate; double open_interest; double open_interest_change; double cumulative_delta;
    double long_short; double taker_ratio; double liquidation; double margin_ratio;   /* NaN = not known */
    double price_z; double volume_z; double atr;

    keel_list series;              /* keel_series, shortest duration first */
    keel_list values;              /* keel_named */
    keel_list weights;             /* keel_weight */
    keel_list past;                /* keel_past, newest first */
    keel_list news;                /* keel_text: from outside, data only */
    keel_text memory;              /* what the decider asked to remember */
    keel_text similar;             /* what came of similar situations, a few lines */
} keel_snapshot;

/* ---- decision ------------------------------------------------------------ */

typedef struct keel_signal { keel_text name; keel_fixed confidence; int32_t direction; uint32_t reserved; } keel_signal;

#define KEEL_WAKE_PRICE_ABOVE  1u  /* level: price                       */
#define KEEL_WAKE_PRICE_BELOW  2u
#define KEEL_WAKE_MOVE         3u  /* level: fraction of today's price   */
#define KEEL_WAKE_VOLUME_Z     4u  /* level: z-score                     */
#define KEEL_WAKE_REGIME       5u  /* level unused: any change           */
#define KEEL_WAKE_FUNDING      6u  /* level: rate, either sign           */
#define KEEL_WAKE_PROFIT       7u  /* level: fraction of entry, signed   */
typedef struct keel_wake { uint32_t condition; uint32_t reserved; keel_fixed level; } keel_wake;

typedef struct keel_ev_decision {
    keel_event head;
    uint32_t action;               /* KEEL_ACT_* */
    uint32_t from_record;          /* 1: a stored answer, no new cost */
    keel_hash snapshot;            /* the hash of the snapshot it saw */
    keel_fixed fraction;           /* of the equity to commit (entries), of the position to close (exits): 0..KEEL_ONE */
    keel_fixed quantity;           /* exact quantity instead of a fraction; 0 = use fraction */
    keel_fixed confidence;         /* 0..KEEL_ONE */
    keel_fixed exit_probability;   /* 0..KEEL_ONE, of an open position; negative = not said */
    keel_span next_check;          /* 0 = not said; the host clamps it */
    keel_time valid_until;         /* 0 = not said */
    keel_amount cost;              /* money spent on this answer, in US dollars */
    uint64_t tokens_in; uint64_t tokens_cached; uint64_t tokens_out;
    keel_list signals;             /* keel_signal */
    keel_list wakes;               /* keel_wake */
    keel_text reason; keel_text memory; keel_text model;
} keel_ev_decision;

/* ---- host: what a plugin may call ---------------------------------------- */

#define KEEL_LOG_TRACE 0u
#define KEEL_LOG_DEBUG 1u
#define KEEL_LOG_INFO  2u
#define KEEL_LOG_WARN  3u
#define KEEL_LOG_ERROR 4u
#define KEEL_LOG_FATAL 5u
#define KEEL_LOG_HOST_MISBEHAVING   6u
#define KEEL_LOG_PLUGIN_MISBEHAVING 7u

#define KEEL_READABLE 1u           /* watch(): interest and readiness bits */
#define KEEL_WRITABLE 2u
#define KEEL_HANGUP   4u

typedef struct keel_host keel_host;
struct keel_host {                 /* valid from create until destroy returns */
    uint32_t struct_size;
    uint16_t abi_major; uint16_t abi_minor;
    void *ctx;                                                                              /* the host's own */
    const void *(*service)(const keel_host *host, const char *id);                          /* [any] an optional table, NULL = absent */
    void        (*log)(const keel_host *host, uint32_t level, keel_str text);               /* [any] */
    keel_time   (*now)(const keel_host *host);                                              /* [any] the only clock */
    keel_status (*emit)(const keel_host *host, const keel_event *event);                    /* [any] copies, never blocks; AGAIN only for lossy kinds */
    keel_status (*wake)(const keel_host *host);                                             /* [any] leads to on_wake, coalesced */
    void        (*fail)(const keel_host *host, keel_status why, keel_str text);             /* [any] "I am broken, restart me" */
    keel_status (*timer)(const keel_host *host, keel_span delay, keel_span period,
                         uint64_t tag, uint64_t *timer_id);                                 /* [lane] period 0: once */
    keel_status (*timer_stop)(const keel_host *host, uint64_t timer_id);                    /* [lane] */
    keel_status (*watch)(const keel_host *host, int fd, uint32_t interest);                 /* [lane] interest 0: forget it */
    keel_status (*secret)(const keel_host *host, keel_str name, const keel_writer *out);    /* [lane & after create] granted names only */
    keel_status (*put)(const keel_host *host, keel_str key, const void *bytes, size_t len); /* [lane] durable on return; len 0 removes */
    keel_status (*get)(const keel_host *host, keel_str key, const keel_writer *out);        /* [lane] */
    keel_status (*instrument)(const keel_host *host, keel_instrument_id id, keel_instrument *out); /* [any] set out->struct_size first */
};

/* ---- component: what a plugin offers ------------------------------------- */

typedef struct keel_instance keel_instance;  /* the plugin's own type, opaque here */

typedef struct keel_interface {    /* a role or an extension */
    const char *id;                /* "keel.broker/1", "com.acme.depth/2" */
    const void *table;
} keel_interface;

#define KEEL_COMPONENT_NEEDS_PROCESS 1u  /* may only run in a process of its own */
#define KEEL_COMPONENT_SINGLE        2u  /* one instance a process */
#define KEEL_COMPONENT_INLINE        4u  /* starts no thread, does no I/O: may share the engine's lane */
#define KEEL_COMPONENT_DETERMINISTIC 8u  /* the same calls give the same events */

typedef struct keel_component keel_component;
struct keel_component {            /* static, valid until the process ends */
    uint32_t struct_size;
    uint32_t flags;                /* KEEL_COMPONENT_* */
    const char *id;                /* "com.acme.kraken", never reused */
    const char *name; const char *vendor; const char *version; const char *license; const char *url;
    const char *toolchain;         /* "swift 6.3.1", for reports */
    const char *config_schema;     /* JSON Schema 2020-12, the subset in docs/plugin-guide.md */
    uint32_t state_version; uint32_t state_oldest;      /* what load() accepts */
    const keel_interface *interfaces;                   /* discovery is data, not calls */
    uint32_t interface_count; uint32_t reserved;

    keel_status (*check_config)(const keel_component *component, keel_str json,
                                const keel_writer *report);                                 /* [any] pure; may be NULL; JSON list of {path, code, message} */
    keel_status (*create)(const keel_component *component, const keel_host *host, keel_str name,
                          keel_str json, keel_instance **out, keel_error *error);           /* [lane] no I/O; on failure *out stays NULL */
    keel_status (*start)(keel_instance *instance, keel_error *error);                       /* [lane & created or stopped] */
    keel_status (*stop)(keel_instance *instance, keel_time deadline, uint64_t request,
                        keel_error *error);                                                 /* [lane & running] ends in EV_DONE; nothing is emitted after it */
    void (*destroy)(keel_instance *instance);                                               /* [lane & not running] joins own threads */
    void (*on_timer)(keel_instance *instance, uint64_t timer_id, uint64_t tag);             /* [lane & running] may be NULL */
    void (*on_fd)(keel_instance *instance, int fd, uint32_t ready);                         /* [lane & running] may be NULL */
    void (*on_wake)(keel_instance *instance);                                               /* [lane] may be NULL */
};

typedef struct keel_library {
    uint32_t struct_size;
    uint16_t abi_major; uint16_t abi_minor;
    const keel_component *const *components;
    uint32_t component_count; uint32_t reserved;
} keel_library;

/* [loader] Pure: no thread, no I/O, no environment, under 10 ms, the same
 * pointer each time.  Returns the library for that major, or NULL if it has none. */
KEEL_EXPORT const keel_library *keel_plugin_entry(uint32_t abi_major);

/* ---- roles --------------------------------------------------------------- */

#define KEEL_CH_QUOTES (1ull << 0)
#define KEEL_CH_TRADES (1ull << 1)
#define KEEL_CH_BARS   (1ull << 2)
#define KEEL_CH_VALUES (1ull << 3)
#define KEEL_CH_DEPTH  (1ull << 4)
#define KEEL_CH_NEWS   (1ull << 5)
#define KEEL_CH_URGENT (1ull << 6) /* while subscribed: values as often as the venue allows, because they move */

#define KEEL_FEED "keel.feed/1"
typedef struct keel_feed {
    uint32_t struct_size; uint32_t reserved;
    uint64_t channels;             /* KEEL_CH_* it can serve */
    keel_span silence;             /* longest silence of a healthy stream; 0 = unknown */
    keel_status (*subscribe)(keel_instance *instance, keel_instrument_id id, uint64_t channels,
                             uint64_t request, keel_error *error);                          /* [lane & running] ends in EV_DONE */
    keel_status (*unsubscribe)(keel_instance *instance, keel_instrument_id id, uint64_t channels,
                               uint64_t request, keel_error *error);                        /* [lane & running] ends in EV_DONE */
} keel_feed;

/* submit: KEEL_OK means "mine now": ORDER and FILL events follow, then one DONE
 * when the venue has acknowledged or refused.  A negative status means certainly
 * not sent, except KEEL_E_IN_DOUBT.  The same id twice is KEEL_E_DUPLICATE.
 * sync: open orders, fills since, balances, positions, all with EVF_SNAPSHOT,
 * then DONE.  The host syncs after every start and every reconnect. */
#define KEEL_BROKER "keel.broker/1"
typedef struct keel_broker {
    uint32_t struct_size; uint32_t reserved;
    uint64_t order_features;       /* everything submit() accepts */
    keel_status (*submit)(keel_instance *instance, const keel_order *order,
                          uint64_t request, keel_error *error);                             /* [lane & running] */
    keel_status (*cancel)(keel_instance *instance, keel_id order,
                          uint64_t request, keel_error *error);                             /* [lane & running] ends in EV_DONE */
    keel_status (*replace)(keel_instance *instance, keel_id order, const keel_order *with,
                           uint64_t request, keel_error *error);                            /* [lane & running] NULL: the host cancels, then submits */
    keel_status (*sync)(keel_instance *instance, keel_time since,
                        uint64_t request, keel_error *error);                               /* [lane & running] ends in EV_DONE */
} keel_broker;

#define KEEL_WANT_BARS    (1ull << 0)
#define KEEL_WANT_VALUES  (1ull << 1)
#define KEEL_WANT_WEIGHTS (1ull << 2)
#define KEEL_WANT_PAST    (1ull << 3)
#define KEEL_WANT_NEWS    (1ull << 4)
#define KEEL_WANT_MEMORY  (1ull << 5)

/* decide: at most one DECISION (none means hold), then one DONE, both with
 * `request`; past the deadline DONE with KEEL_E_TIMEOUT and no decision.
 * observe: each market event of the pipeline's instrument, before the gate.
 * Return KEEL_ASK to be asked at once, KEEL_OK otherwise. */
#define KEEL_DECIDER "keel.decider/1"
typedef struct keel_decider {
    uint32_t struct_size;
    uint32_t bars_wanted;          /* bars a series in the snapshot, with KEEL_WANT_BARS */
    uint64_t wants;                /* KEEL_WANT_*: the host leaves the rest out */
    keel_status (*decide)(keel_instance *instance, const keel_snapshot *snapshot, keel_time deadline,
                          uint64_t request, keel_error *error);                             /* [lane & running] */
    void        (*cancel)(keel_instance *instance, uint64_t request);                       /* [lane & running] still ends in DONE */
    keel_status (*observe)(keel_instance *instance, const keel_event *event);               /* [lane & running] may be NULL */
} keel_decider;

/* route: emit CHILD events for parts of the parent, then one DONE when every
 * child is terminal.  Live plus filled children never exceed the parent.
 * Each child passes the host's risk gate; a refused one comes back as ORDER
 * REJECTED and must not be sent again unchanged. */
#define KEEL_ROUTER "keel.router/1"
typedef struct keel_router {
    uint32_t struct_size; uint32_t reserved;
    keel_status (*route)(keel_instance *instance, const keel_order *parent,
                         uint64_t request, keel_error *error);                              /* [lane & running] */
    void        (*on_event)(keel_instance *instance, const keel_event *event);              /* [lane & running] its children's orders and fills, its instruments' quotes */
    void        (*cancel)(keel_instance *instance, uint64_t request);                       /* [lane & running] cancel all children, then DONE */
} keel_router;

/* ---- extensions ---------------------------------------------------------- */

#define KEEL_STATE "keel.state/1"
typedef struct keel_state {        /* a refused load leaves the instance as it was */
    uint32_t struct_size; uint32_t reserved;
    keel_status (*save)(keel_instance *instance, const keel_writer *out, keel_error *error); /* [lane & created or stopped] */
    keel_status (*load)(keel_instance *instance, uint32_t version, const keel_reader *in,
                        keel_error *error);                                                 /* [lane & created] */
} keel_state;

#define KEEL_DESCRIBE "keel.describe/1"
typedef struct keel_describe {     /* one JSON object about the instance, for people: no secrets */
    uint32_t struct_size; uint32_t reserved;
    keel_status (*describe)(keel_instance *instance, const keel_writer *out);               /* [lane & created, running or stopped] */
} keel_describe;

#define KEEL_RANKINGS "keel.rankings/1"
typedef struct keel_rankings {     /* EV_RANK events, then DONE */
    uint32_t struct_size; uint32_t reserved;
    keel_status (*fetch)(keel_instance *instance, keel_str list, uint32_t most,
                         uint64_t request, keel_error *error);                              /* [lane & running] */
} keel_rankings;

#define KEEL_ACCOUNT "keel.account/1"
typedef struct keel_account {      /* one EV_ACCOUNT, then DONE */
    uint32_t struct_size; uint32_t reserved;
    keel_status (*summary)(keel_instance *instance, uint64_t request, keel_error *error);   /* [lane & running] */
} keel_account;

#define KEEL_MARKET "keel.market/1"
typedef struct keel_market {       /* a simulated venue: sees each market event before the pipeline does */
    uint32_t struct_size; uint32_t reserved;
    void (*on_market)(keel_instance *instance, const keel_event *event);                    /* [lane & running] */
} keel_market;

#ifdef __cplusplus
}
#endif
#endif

"""#
}
