/**
 * PublishCounts: what an acceptor's publishers count, in its figures. They share them.
 * From: publisher.ts.  To: a Counters object.
 * Bound: none of its own; labels are of the closed lists in metrics.ts.
 */
import { observeSince } from '../base/histogram.ts';
import { bump, type Counters } from '../base/metrics.ts';
import type { PublisherCounts } from '../broker/publisher.ts';

export function publishCounts(counters: Counters): PublisherCounts {
  return {
    sent(kind, isAgain) {
      bump(counters.publishes, kind);
      if (isAgain) counters.resends += 1;
    },
    answered(isConfirm) {
      if (isConfirm) counters.confirms += 1;
      else counters.nacks += 1;
    },
    timed(sentAt, now) {
      observeSince(counters.confirmSeconds, sentAt, now);
    },
    dropped(reason) {
      bump(counters.publishDrops, reason);
    },
    returned() {
      counters.returns += 1;
    },
    waiting(messages, bytes) {
      counters.confirmsWaiting += messages;
      counters.confirmBytesWaiting += bytes;
    },
  };
}
