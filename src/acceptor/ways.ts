/**
 * Ways: what endpoints need of the acceptor around them, made of its parts.
 * From: acceptor.ts, with the parts.  To: endpoints.ts.
 * Bound: none of its own; each call is done when it returns.
 */
import type { Presence, Routes } from './endpoint/routes.ts';
import type { LinkChanges } from './linkChanges.ts';
import type { DeviceCommands } from './route/deviceCommands.ts';
import type { Uplink } from './route/uplink.ts';
import type { StreamClient } from './streamClient.ts';

export function routesOf(uplink: Uplink, commands: DeviceCommands): Routes {
  return {
    isFull: (type) => uplink.isFull(type),
    isSlow: () => uplink.isSlow(),
    onMessage: (endpoint, message) => uplink.onMessage(endpoint, message),
    onAnswer: (endpoint, message) => commands.onAnswer(endpoint, message),
    onReady: (endpoint) => commands.onReady(endpoint),
    onEnd: (endpoint) => {
      uplink.onEnd(endpoint);
      commands.onEnd(endpoint);
    },
  };
}

export function presenceOf(changes: LinkChanges, stream: StreamClient): Presence {
  return {
    onUp: (endpoint) => {
      changes.onUp(endpoint);
      stream.wake();
    },
    onDown: (endpoint, reason) => {
      changes.onDown(endpoint, reason);
      stream.wake();
    },
  };
}
