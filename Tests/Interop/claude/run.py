"""Drives the Claude stand-in with the real anthropic SDK, several versions of it.

usage: run.py KEEL_VENUES SDK_FOLDER...     each folder holds one version (pip install --target)
"""
import json
import os
import subprocess
import sys
import urllib.request

CHILD = r'''
import json, sys, importlib
import anthropic
base, versions = sys.argv[1], anthropic.__version__
passed, failed = 0, 0
def check(name, good, seen=None):
    global passed, failed
    if good: passed += 1
    else:
        failed += 1
        print(f"FAIL  anthropic {versions}: {name}\n      saw: {seen!r}")
import urllib.request
def scenario(**what):
    urllib.request.urlopen(urllib.request.Request(base + "/__fake/scenario", json.dumps(what).encode(), method="POST")).read()
def log():
    return json.loads(urllib.request.urlopen(base + "/__fake/log").read())
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["action", "size"], "properties": {
    "action": {"type": "string", "enum": ["BUY", "SELL", "HOLD"]}, "size": {"type": "number"}}}
def client(**more): return anthropic.Anthropic(api_key="sk-ant-api03-made-up", base_url=base, **more)
def ask(c, **more):
    arguments = dict(model="claude-haiku-5-5", max_tokens=200, messages=[{"role": "user", "content": "hello"}])
    arguments.update(more)
    return c.messages.create(**arguments)
c = client()
scenario()
reply = ask(c)
texts = [b.text for b in reply.content if b.type == "text"]
check("a plain reply", reply.stop_reason == "end_turn" and texts == ["Hello from the stand-in."], reply)
check("request id", getattr(reply, "_request_id", "").startswith("req_fake_"), getattr(reply, "_request_id", None))
check("usage", reply.usage.input_tokens > 0 and reply.usage.output_tokens > 0, reply.usage)
credential = log()[-1]["headers"]["credential"]
check("credential is never logged, only its kind", credential in ("bearer", "x-api-key") and "made-up" not in json.dumps(log()), credential)
formatted = ask(c, extra_body={"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}})
answer = json.loads([b.text for b in formatted.content if b.type == "text"][0])
check("schema-bound output", set(answer) == {"action", "size"} and answer["action"] in ("BUY", "SELL", "HOLD"), answer)
again = ask(c, extra_body={"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}})
check("the same request gets the same answer", [b.text for b in again.content if b.type == "text"] == [b.text for b in formatted.content if b.type == "text"], again)
with c.messages.stream(model="claude-haiku-5-5", max_tokens=200, messages=[{"role": "user", "content": "stream"}]) as stream:
    pieces = "".join(stream.text_stream)
    final = stream.get_final_message()
check("streaming", pieces == "Hello from the stand-in." and final.stop_reason == "end_turn", (pieces, final))
counted = c.messages.count_tokens(model="claude-haiku-5-5", messages=[{"role": "user", "content": "count"}])
check("count_tokens", counted.input_tokens > 0, counted)
check("models", "claude-sonnet-5-5" in [m.id for m in c.models.list()], None)
check("one model", c.models.retrieve("claude-opus-5-5").id == "claude-opus-5-5", None)
quick = client(max_retries=0)
expected = {400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError", 409: "ConflictError", 422: "UnprocessableEntityError", 429: "RateLimitError", 500: "InternalServerError"}
for status, name in expected.items():
    scenario(queue=[{"do": "status", "status": status}])
    try:
        ask(quick)
        check(f"status {status}", False, "no error")
    except anthropic.APIStatusError as error:
        check(f"status {status} is {name}", type(error).__name__ == name and error.status_code == status, type(error).__name__)
scenario(queue=[{"do": "status", "status": 529, "retry_after_ms": "5", "times": 2}])
before = len(log())
retried = ask(client(max_retries=2))
tail = log()[before:]
check("529 twice, then through, three attempts counted", retried.stop_reason == "end_turn" and [e["headers"].get("x-stainless-retry-count") for e in tail] == ["0", "1", "2"], tail)
scenario(queue=[{"do": "status", "status": 529, "should_retry": "false", "times": 3}])
before = len(log())
try: ask(client(max_retries=2))
except anthropic.APIStatusError as error: pass
check("x-should-retry false: one attempt", len(log()) - before == 1, len(log()) - before)
scenario(queue=[{"do": "refusal"}])
check("a refusal is a 200", ask(quick).stop_reason == "refusal")
scenario(queue=[{"do": "cut"}])
check("a cut answer", ask(quick).stop_reason == "max_tokens")
scenario(queue=[{"do": "stream_error"}])
try:
    with quick.messages.stream(model="claude-haiku-5-5", max_tokens=200, messages=[{"role": "user", "content": "x"}]) as stream: stream.get_final_message()
    check("an error inside a stream", False, "no error")
except anthropic.APIStatusError as error: check("an error inside a stream", "overloaded" in str(error).lower(), error)
for step in ("reset", "reset_inside"):
    scenario(queue=[{"do": step}])
    try:
        ask(quick)
        check(step, False, "no error")
    except Exception as error: check(step, isinstance(error, (anthropic.APIConnectionError,)) or "peer closed" in str(error) or "incomplete" in str(error).lower(), error)
scenario(queue=[{"do": "slow", "ms": 50}, {"do": "drip", "ms": 1}])
check("slow first byte", ask(quick).stop_reason == "end_turn")
check("slow bytes", ask(quick).stop_reason == "end_turn")
scenario(queue=[{"do": "hang"}])
try:
    ask(client(max_retries=0, timeout=0.3))
    check("hang", False, "no error")
except anthropic.APITimeoutError: check("hang times out", True)
scenario()
for name, more, word in [
    ("prefill", {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "{"}]}, "prefill"),
    ("open object in a schema", {"extra_body": {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}}}, "additionalProperties"),
    ("bounds in a schema", {"extra_body": {"output_config": {"format": {"type": "json_schema", "schema": {"type": "number", "minimum": 1}}}}}, "minimum"),
    ("effort", {"extra_body": {"output_config": {"effort": "extreme"}}}, "effort"),
]:
    try:
        ask(quick, **more)
        check(name, False, "no error")
    except anthropic.BadRequestError as error: check(f"refused: {name}", word in str(error), error)
try:
    ask(quick, model="claude-9")
    check("unknown model", False)
except anthropic.NotFoundError as error: check("unknown model", "model: claude-9" in str(error), error)
big = versions * 2000
def cached():
    return ask(c, system=[{"type": "text", "text": big, "cache_control": {"type": "ephemeral"}}]).usage
first, second = cached(), cached()
check("prompt cache: written, then read", first.cache_creation_input_tokens > 1000 and first.cache_read_input_tokens == 0 and second.cache_read_input_tokens == first.cache_creation_input_tokens, (first, second))
async def both():
    a = anthropic.AsyncAnthropic(api_key="x", base_url=base)
    r = await a.messages.create(model="claude-haiku-5-5", max_tokens=50, messages=[{"role": "user", "content": "async"}])
    check("the asynchronous client", r.stop_reason == "end_turn", r)
import asyncio
asyncio.run(both())
print(f"claude interop (anthropic {versions}): {passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
'''


def main():
    venue = subprocess.Popen([sys.argv[1], "claude"], stdout=subprocess.PIPE, text=True)
    base = venue.stdout.readline().strip().removeprefix("listening on ")
    bad = 0
    try:
        for folder in sys.argv[2:]:
            environment = {**os.environ, "PYTHONPATH": folder}
            for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
                environment.pop(name, None)
            bad |= subprocess.run([sys.executable, "-c", CHILD, base], env=environment, timeout=120).returncode
        urllib.request.urlopen(base + "/__fake/log").read()
    finally:
        venue.terminate()
        venue.wait()
    sys.exit(bad)


main()
