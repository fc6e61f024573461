extension Templates {
    /// mock/venue.json: the recorded venue of every broker.
    static let venue = ###"""
{
  "about": "A recorded venue: orders of 0.3 at 100.00. What it is sent stands in \"on\", what it answered in \"reply\".",
  "always": [
    { "on": "LOGIN test-key", "reply": ["WELCOME"] },
    { "on": "LOGIN {key}", "reply": ["DENIED"] },
    { "on": "SYNC", "reply": [{ "kept": "order " }, "BALANCE USDT 100000", "END"] },
    { "on": "CANCEL {id}", "if": "order {id}", "reply": ["CANCELED {id}"], "forget": ["order {id}"] },
    { "on": "CANCEL {id}", "reply": ["NOCANCEL {id} unknown"] }
  ],
  "scenarios": {
    "fill": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true,
        "reply": ["ACK {id}", "FILL {id} F{n} {qty} 100.00 0.03"],
        "keep": { "order {id}": "ORDER {id} {side} {qty} filled {limit}", "order {id} fill": "FILL {id} F{n} {qty} 100.00 0.03" } },
      { "on": "CANCEL {id}", "reply": ["NOCANCEL {id} filled"] }
    ],
    "partial": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true,
        "reply": ["ACK {id}", "FILL {id} F{n}a 0.1 100.00 0.01", "FILL {id} F{n}b 0.1 99.99 0.01", "FILL {id} F{n}c 0.1 99.97 0.01"],
        "keep": { "order {id}": "ORDER {id} {side} {qty} filled {limit}", "order {id} a": "FILL {id} F{n}a 0.1 100.00 0.01",
                  "order {id} b": "FILL {id} F{n}b 0.1 99.99 0.01", "order {id} c": "FILL {id} F{n}c 0.1 99.97 0.01" } }
    ],
    "open": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true, "reply": ["ACK {id}"],
        "keep": { "order {id}": "ORDER {id} {side} {qty} open {limit}" } }
    ],
    "race": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true, "reply": ["ACK {id}"],
        "keep": { "order {id}": "ORDER {id} {side} {qty} open {limit}" } },
      { "on": "CANCEL {id}", "reply": ["FILL {id} F{n} 0.3 100.00 0.03", "NOCANCEL {id} filled"] }
    ],
    "cancel-one": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true, "reply": ["ACK {id}"],
        "keep": { "order {id}": "ORDER {id} {side} {qty} open {limit}" } },
      { "on": "CANCEL {id}", "unless": "one", "reply": ["CANCELED {id}"], "keep": { "one": "" }, "forget": ["order {id}"] },
      { "on": "CANCEL {id}", "reply": ["NOCANCEL {id} busy"] }
    ],
    "reject": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true, "reply": ["REJECT {id} funds"] }
    ],
    "lost-reply": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true, "hang_up": true,
        "keep": { "order {id}": "ORDER {id} {side} {qty} filled {limit}", "order {id} fill": "FILL {id} F{n} {qty} 100.00 0.03" } }
    ],
    "late": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true,
        "reply": [{ "held": "ACK {id}" }, { "held": "FILL {id} F{n} {qty} 100.00 0.03" }],
        "keep": { "order {id}": "ORDER {id} {side} {qty} filled {limit}", "order {id} fill": "FILL {id} F{n} {qty} 100.00 0.03" } }
    ],
    "double": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true,
        "reply": ["ACK {id}", "ACK {id}", "FILL {id} F{n}a 0.2 100.00 0.02", "FILL {id} F{n}a 0.2 100.00 0.02", "FILL {id} F{n}b 0.1 100.00 0.01", "FILL {id} F{n}b 0.1 100.00 0.01"] }
    ],
    "disorder": [
      { "on": "NEW {id} {symbol} {side} {kind} {qty} {limit}", "places": true,
        "reply": ["FILL {id} F{n} {qty} 100.00 0.03", "SUSPENDED {id} moonphase", "ACK {id}"] }
    ]
  }
}

"""###
}
