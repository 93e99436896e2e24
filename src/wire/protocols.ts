/**
 * Protocols: what links may speak, by the words that listeners have for it.
 * From: the protocols that are built in.  To: acceptor.ts, which adds what the config brings.
 * Bound: one object for each; a link's protocol is made by it.
 */
import type { Protocols } from './protocol.ts';
import { V1 } from './v1Protocol.ts';

/** Those among `words` that are built in. MQTT is loaded only for who speaks it. */
export async function builtIn(words: readonly string[]): Promise<Protocols> {
  const protocols = new Map([['owsla', V1]]);
  if (words.some((word) => word.startsWith('mqtt'))) {
    const { MQTT } = await import('./mqtt/mqttProtocol.ts');
    protocols.set('mqtt', MQTT);
    // The same, in the messages of a WebSocket.
    protocols.set('mqtt-ws', MQTT);
  }
  return protocols;
}
