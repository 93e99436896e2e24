/**
 * Dispatch: what follows from a device's message that its protocol has accepted.
 * From: its Endpoint, message by message.  To: the host, which carries it on; or the device.
 * Bound: it is done when it returns; what is under way then, the routes hold.
 */
import type { ProtocolError } from '../../base/errors.ts';
import type { FromDevice } from '../../wire/protocol.ts';
import type { Endpoint } from './endpoint.ts';
import { greet } from './greet.ts';
import type { EndpointHost } from './host.ts';

export function dispatch(endpoint: Endpoint, message: FromDevice, host: EndpointHost): void {
  switch (message.type) {
    case 'event':
    case 'request':
      if (endpoint.proof?.topics?.allows(message.topic) !== false) {
        host.onMessage(endpoint, message);
        break;
      }
      // It costs the message, and nothing else.
      endpoint.notAllowed += 1;
      host.onNotAllowed(endpoint);
      endpoint.sayNotAllowed(message);
      break;
    case 'ping':
      endpoint.pong();
      break;
    case 'result':
      endpoint.sayAside(message.answer);
      host.onAnswer(endpoint, message);
      break;
    case 'ack':
      host.onAnswer(endpoint, message);
      break;
    case 'aside':
      endpoint.sayAside(message.answer);
      if (message.opensCommands) host.onReady(endpoint);
      break;
    case 'bye':
      // Not every goodbye takes the will back.
      endpoint.end(message.keepsWill ? 'peer-fin' : 'peer-bye');
      break;
    case 'hello':
      greet(endpoint, message, host);
  }
}

/** Tell the device what was wrong and with which of its messages, and end the link. */
export function refuse(endpoint: Endpoint, error: ProtocolError, host: EndpointHost): void {
  host.onError(endpoint, error);
  endpoint.sayError(error);
  endpoint.close(error.code);
}
