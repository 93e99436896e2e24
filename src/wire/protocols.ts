/**
 * Protocols: what links may speak, by the words that listeners have for it.
 * From: the protocols that are built in.  To: acceptor.ts, which adds what the config brings.
 * Bound: one object for each; a link's protocol is made by it.
 */
import { MQTT } from './mqtt/mqttProtocol.ts';
import type { Protocols } from './protocol.ts';
import { V1 } from './v1Protocol.ts';

export const BUILT_IN: Protocols = new Map([
  ['owsla', V1],
  ['mqtt', MQTT],
  // The same, in the messages of a WebSocket.
  ['mqtt-ws', MQTT],
]);
