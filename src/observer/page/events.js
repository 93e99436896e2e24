/**
 * Events: one answer of server-sent events, as they come.
 * From: a response of the node, by `fetch`, since EventSource sends no token.  To: whoever asked.
 * Bound: TEXT_MAX characters of an event that is not whole yet; beyond, the answer is left.
 */
const TEXT_MAX = 8_000_000;

/** Resolves at its end; `onEvent` is given a name ('' if it has none) and what JSON says. */
export async function readEvents(response, onEvent) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    if (rest.length > TEXT_MAX) {
      await reader.cancel();
      throw new Error('an event is too long');
    }
    for (const event of events) handle(event, onEvent);
  }
}

function handle(event, onEvent) {
  let name = '';
  let data = '';
  for (const line of event.split('\n')) {
    if (line.startsWith('event: ')) name = line.slice(7);
    if (line.startsWith('data: ')) data += line.slice(6);
  }
  // A comment, which shows that there is life, has none.
  onEvent(name, data === '' ? undefined : JSON.parse(data));
}
