/**
 * Profiles: sorts of devices with a life of their own, and the mix of them.
 * From: `--mix` and scenario files.  To: the plan.
 * Bound: names become part of device ids; a name that is not known throws a UsageError.
 */
import type { Profile } from './plan.ts';
import { number, UsageError } from './units.ts';

/** The shipped sorts. A scenario file can change them or add its own. */
export const PROFILES: readonly Profile[] = [
  {
    name: 'thermostat',
    weight: 1,
    sends: 'event',
    topic: 'hvac.reading',
    bytes: { min: 40, max: 80 },
    everyMs: 60_000,
    when: 'interval',
  },
  {
    name: 'door',
    weight: 1,
    sends: 'request',
    topic: 'door.badge',
    bytes: { min: 32, max: 64 },
    everyMs: 20_000,
    when: 'random',
  },
  {
    name: 'panel',
    weight: 1,
    sends: 'request',
    topic: 'panel.page',
    bytes: { min: 64, max: 512 },
    everyMs: 5_000,
    when: 'think',
  },
];

/** `thermostat=80,door=20`: these profiles with these weights; `own` before shipped ones. */
export function parseProfiles(text: string, own: readonly Profile[]): Profile[] {
  return text.split(',').map((part) => {
    const [name = '', weight = '1', more] = part.split('=');
    const known = [...own, ...PROFILES].find((profile) => profile.name === name.trim());
    if (known === undefined || more !== undefined) {
      const names = [...own, ...PROFILES].map((profile) => profile.name);
      throw new UsageError(`--mix: '${part}' is not NAME=WEIGHT with one of ${names.join(', ')}`);
    }
    return { ...known, weight: number('--mix', weight, 0) };
  });
}
