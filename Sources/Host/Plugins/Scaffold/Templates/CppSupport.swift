extension Templates {
    /// keel/plugin.hpp: the shape of a plugin in C++.
    static let cppHelpers = ###"""
// plugin.hpp - the shape of a plugin in C++17, over plugin.h. Written by `keel plugin new`; --upgrade replaces it.
//
// A plugin is a class with the functions used below. No exception ever leaves it (rule 6): what is thrown becomes a status.
#ifndef KEEL_PLUGIN_HPP
#define KEEL_PLUGIN_HPP

#include "plugin.h"
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

namespace plugin {

// A refusal on its way to keel_error.
struct Refusal : std::runtime_error {
    keel_status status;
    Refusal(keel_status status, const std::string &why) : std::runtime_error(why), status(status) {}
};

template <class Body> keel_status guard(keel_error *error, Body body) noexcept {
    try {
        body();
        return KEEL_OK;
    } catch (const Refusal &refusal) {
        return plugin_fail(error, refusal.status, "%s", refusal.what());
    } catch (const std::bad_alloc &) {
        return plugin_fail(error, KEEL_E_INTERNAL, "no memory");
    } catch (const std::exception &problem) {
        return plugin_fail(error, KEEL_E_INTERNAL, "%s", problem.what());
    } catch (...) {
        return plugin_fail(error, KEEL_E_INTERNAL, "something was thrown");
    }
}

// For functions without a status: what is thrown there is a bug, and the host should know.
template <class Body> void watched(const keel_host *host, Body body) noexcept {
    keel_error error{};
    error.struct_size = sizeof error;
    keel_status status = guard(&error, body);
    if (status != KEEL_OK) host->fail(host, status, plugin_str(error.message));
}

enum class State { created, running, stopped };

// What every plugin has. `Self` adds: Self(host, json), start(), stop(), on_timer(timer, tag), on_fd(ready).
template <class Self> struct Base {
    const keel_host *host;
    State state = State::created;

    explicit Base(const keel_host *host) : host(host) {}

    static Self &me(keel_instance *instance) { return *reinterpret_cast<Self *>(instance); }
    void needs_running() const {
        if (state != State::running) throw Refusal(KEEL_E_STATE, "it is not running");
    }
    void on_timer(uint64_t, uint64_t) {}
    void on_fd(uint32_t) {}

    static keel_status create(const keel_component *, const keel_host *host, keel_str, keel_str json, keel_instance **out, keel_error *error) {
        if (!plugin_host_fits(host)) return plugin_fail(error, KEEL_E_UNSUPPORTED, "this plugin needs a host of ABI %u", KEEL_ABI_MAJOR);
        return guard(error, [&] { *out = reinterpret_cast<keel_instance *>(new Self(host, json)); });
    }
    static keel_status start(keel_instance *instance, keel_error *error) {
        return guard(error, [&] {
            if (me(instance).state == State::running) throw Refusal(KEEL_E_STATE, "it is running already");
            me(instance).start_up();
            me(instance).state = State::running;
        });
    }
    static keel_status stop(keel_instance *instance, keel_time, uint64_t request, keel_error *error) {
        return guard(error, [&] {
            Self &self = me(instance);
            self.needs_running();
            self.shut_down();
            self.state = State::stopped;
            plugin_done(self.host, request, KEEL_OK, nullptr);  // the very last event
        });
    }
    static void destroy(keel_instance *instance) { delete &me(instance); }
    static void timer_fired(keel_instance *instance, uint64_t timer, uint64_t tag) {
        watched(me(instance).host, [&] { me(instance).on_timer(timer, tag); });
    }
    static void ready_fd(keel_instance *instance, int, uint32_t bits) {
        watched(me(instance).host, [&] { me(instance).on_fd(bits); });
    }
};

// Reads a configuration or throws.
inline void configure(keel_str json, const plugin_field *fields, size_t count) {
    keel_error error{};
    error.struct_size = sizeof error;
    keel_status status = plugin_configure(json, fields, count, &error);
    if (status != KEEL_OK) throw Refusal(status, error.message);
}

// Strict: bytes of an order behind the part we know must be zero.
inline void refuse_unknown_tail(const keel_order &order) {
    auto bytes = reinterpret_cast<const unsigned char *>(&order);
    for (uint32_t i = sizeof order; i < order.struct_size; i++)
        if (bytes[i]) throw Refusal(KEEL_E_UNSUPPORTED, "the order has parts this plugin doesn't know");
}

inline keel_instrument instrument(const keel_host *host, keel_instrument_id id) {
    keel_instrument about{};
    about.struct_size = sizeof about;
    if (host->instrument(host, id, &about) != KEEL_OK) throw Refusal(KEEL_E_NOT_FOUND, "unknown instrument");
    return about;
}

// An event with a zeroed body, ready to be filled.
template <class Event> Event event(uint32_t kind) {
    Event out{};
    out.head.size = sizeof out;
    out.head.kind = static_cast<uint16_t>(kind);
    return out;
}

// Emits an event with one text behind it.
template <class Event> void emit(const keel_host *host, Event event, keel_text Event::*place = nullptr, const std::string &text = {}) {
    std::string bytes(sizeof event, 0);
    if (place) {
        event.*place = {static_cast<uint32_t>(sizeof event), static_cast<uint32_t>(text.size())};
        event.head.size = static_cast<uint32_t>(sizeof event + text.size());
        bytes += text;
    }
    memcpy(&bytes[0], &event, sizeof event);
    host->emit(host, reinterpret_cast<const keel_event *>(bytes.data()));
}

}  // namespace plugin

#endif

"""###
}
