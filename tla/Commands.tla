------------------------------ MODULE Commands ------------------------------
(***************************************************************************)
(* What becomes of a command: it is acted upon, once, or its sender is     *)
(* told why not, while links, processes and the broker's channel are lost  *)
(* at any moment.                                                          *)
(*                                                                         *)
(*   broker --delivery--> registrar --down--> acceptor --wire--> device    *)
(*          <--channel---           <---up---          <--back--           *)
(*          <---post-----     |                                            *)
(*                          store (rows of kept commands, outcomes)        *)
(*                                                                         *)
(* A link may move to a successor of its acceptor while all this goes on    *)
(* (Presence.tla has how): here only what comes of its commands.           *)
(* One device, as commands for different ones never meet. Who is connected *)
(* is what Presence.tla is about: here the registrar learns it (Learn).    *)
(* A command stands for its key, which is the same whenever it is sent.    *)
(* docs/presence-spec.md shows how to read and run it.                     *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Kept, Transient,  \* the commands
  Due,        \* when all of them expire, on the clock `now`
  Horizon,    \* when that clock stops
  Keys,       \* how many keys the device remembers
  Window,     \* how many kept commands are sent and not yet answered
  Links,      \* how many links the device will ever have
  Moves,      \* how often a link is offered to its acceptor's successor
  Kinds,      \* which faults may happen
  Faults,     \* how many of them, in any mixture
  Without     \* the rule left out, to see what it is good for; or "nothing"

VARIABLES
  now,        \* the clock. Registrar and acceptor share it; the device measures spans by its own

  \* The broker. It delivers again what it has not seen settled.
  queue,      \* commands that wait
  again,      \* those of them that were delivered before
  unsettled,  \* delivered on the channel of now
  channel,    \* acks, written to the broker in order, and not yet there
  post,       \* outcomes, the same way, on a connection of their own
  told,       \* [c, end]: what the senders have heard; final outcomes only

  \* The store: survives everything.
  row,        \* per kept command: "none", "waiting", "taken" (ACKed), or its end
  order,      \* kept commands in the order in which they were stored
  outbox,     \* [c, end]: outcomes recorded, and not yet confirmed

  \* The registrar's memory.
  registrar,  \* does it run?
  known,      \* the device's link, as the registrar knows it; 0: none
  newest,     \* the newest link that it ever knew
  open,       \* transient commands sent on the link `known`, and not ended
  adrift,     \* those of them whose delivery is of a channel that was lost
  ended,      \* per transient command: the end that this process gave it, or "none"
  settling,   \* those whose end is not told until the broker has seen their delivery settled
  heldBack,   \* those whose end is not told until their delivery has come again
  flight,     \* [c, end]: outcomes published, and not confirmed
  window,     \* kept commands sent on this link, the answer not yet on record
  times,      \* how often each of them was sent, less what the acceptor then did not send on
  begun,      \* how many kept, and how many transient, commands the present window has had
  between,
  suspects,   \* how many of the first that wait may have been sent before
  dropped,    \* settled before it is stored: in mutants only

  \* The stream between the registrar and the acceptor of the link.
  stream,     \* is there one?
  shown,      \* has its hand-over shown the link?
  down, up,

  \* After a move that was the successor's. Of the predecessor:
  behind,     \* it runs, and has its stream
  behindOf,   \* the link that it gave away
  behindDown, behindUp,
  routed,     \* the registrar knows of the move: it sends to the successor
  parked,     \* transient commands that the predecessor has not sent, for the successor to send
  moves,      \* how often a link was offered

  \* The acceptor, and its link.
  link,       \* the device's link, numbered in order; 0: none
  links,      \* how many there were
  atLink,     \* commands sent on it and not yet answered by RESULT
  ackedAt,    \* those of them that were ACKed
  isOffered,  \* it is offered to the successor: nobody reads it, nor writes to it
  wire, back, \* frames on their way to the device, and its answers

  \* The device.
  keys,       \* the last keys, the newest last
  doing,      \* [c, link, until]: what it has taken, and not yet done
  acted,      \* per command, how often it was acted upon

  \* What only this specification sees.
  written,    \* commands that were ever put into a frame
  twice,      \* was a transient one, twice?
  late,       \* was anything acted upon later than its frame allows?
  faults

broker == <<queue, again, unsettled, channel, post, told>>
store == <<row, order, outbox>>
lane == <<window, times, begun, between, suspects>>
who == <<known, newest>>
ends == <<open, adrift, ended, settling, heldBack, flight>>
memory == <<registrar, who, ends, dropped>>
route == <<behind, behindOf, behindDown, behindUp, routed, parked, moves>>
streams == <<stream, shown, down, up, route>>
atAcceptor == <<link, links, isOffered, atLink, ackedAt, wire, back>>
device == <<keys, doing, acted>>
seen == <<written, twice, late>>
vars == <<now, broker, store, lane, memory, streams, atAcceptor, device, seen, faults>>

Has(rule) == Without # rule
Fault(kind) == kind \in Kinds /\ faults < Faults /\ faults' = faults + 1

All == Kept \union Transient
IsOver(state) == state \notin {"none", "waiting", "taken"}
End(c, end) == [c |-> c, end |-> end]
Range(s) == {s[n] : n \in DOMAIN s}
Max(a, b) == IF a > b THEN a ELSE b
Min(a, b) == IF a < b THEN a ELSE b
Prefixes(s) == {SubSeq(s, 1, n) : n \in 0 .. Len(s)}
Orders(set) == {s \in [1 .. Cardinality(set) -> set] : Range(s) = set}
Only(s, set) == SelectSeq(s, LAMBDA c : c \in set)

Waiting(r) == {c \in Kept : r[c] = "waiting"}

Never == [c \in Kept |-> 0]

\* The beginning. No device has connected yet, nor has an acceptor unless `isUp`.
Began(isUp) ==
  /\ now = 0
  /\ queue = All /\ again = {} /\ unsettled = {} /\ channel = <<>> /\ post = <<>> /\ told = {}
  /\ row = [c \in Kept |-> "none"] /\ order = <<>> /\ outbox = {}
  /\ registrar = TRUE /\ known = 0 /\ newest = 0
  /\ open = {} /\ adrift = {} /\ ended = [c \in Transient |-> "none"]
  /\ settling = {} /\ heldBack = {} /\ flight = {} /\ dropped = {}
  /\ window = {} /\ times = Never /\ begun = 0 /\ between = 0 /\ suspects = 0
  /\ stream = isUp /\ shown = isUp /\ down = <<>> /\ up = <<>>
  /\ behind = FALSE /\ behindOf = 0 /\ behindDown = <<>> /\ behindUp = <<>>
  /\ routed = TRUE /\ parked = {} /\ moves = 0 /\ isOffered = FALSE
  /\ link = 0 /\ links = 0 /\ atLink = {} /\ ackedAt = {} /\ wire = <<>> /\ back = <<>>
  /\ keys = <<>> /\ doing = {} /\ acted = [c \in All |-> 0]
  /\ written = {} /\ twice = FALSE /\ late = FALSE /\ faults = 0

Init == Began(TRUE)

IsDue(c) == now >= Due

Tick ==
  /\ now < Horizon /\ now' = now + 1
  /\ UNCHANGED <<broker, store, lane, memory, streams, atAcceptor, device, seen, faults>>

-----------------------------------------------------------------------------
(* The channel to the broker, and the connection for outcomes: what is written to either arrives in *)
(* order, or not at all. Between the two there is no order.                                         *)

Ack(c) == [what |-> "ack", c |-> c]
Tell(c, end) == [what |-> "tell", c |-> c, end |-> end]
Wrote(acks) == channel' = channel \o acks
Posted(outcomes) == post' = post \o outcomes

\* The broker reads the next.
ArriveAck ==
  /\ channel # <<>>
  /\ channel' = Tail(channel) /\ unsettled' = unsettled \ {Head(channel).c}
  /\ UNCHANGED <<now, queue, again, post, told, store, lane, memory, streams, atAcceptor, device, seen,
                 faults>>
ArriveTell ==
  /\ post # <<>>
  /\ post' = Tail(post) /\ told' = told \union {End(Head(post).c, Head(post).end)}
  /\ UNCHANGED <<now, queue, again, unsettled, channel, store, lane, memory, streams, atAcceptor,
                 device, seen, faults>>

\* What is recorded is published, once, until it is confirmed.
Publish(c) ==
  /\ registrar
  /\ \E o \in outbox \ flight :
       /\ o.c = c
       /\ Posted(<<Tell(c, o.end)>>)
       /\ flight' = flight \union {o}
       /\ outbox' = IF Has("confirm") THEN outbox ELSE outbox \ {o}
  /\ UNCHANGED <<now, queue, again, unsettled, channel, told, row, order, lane, registrar, who, open,
                 adrift, ended, settling, heldBack, dropped, streams, atAcceptor, device, seen, faults>>

\* The broker has seen c settled: it has answered something that was asked behind that.
Settled(c) ==
  /\ registrar /\ c \in settling /\ Ack(c) \notin Range(channel)
  /\ settling' = settling \ {c}
  /\ Posted(<<Tell(c, ended[c])>>)
  /\ flight' = flight \union {End(c, ended[c])}
  /\ UNCHANGED <<now, queue, again, unsettled, channel, told, store, lane, registrar, who, open,
                 adrift, ended, heldBack, dropped, streams, atAcceptor, device, seen, faults>>

Confirm(c) ==
  /\ \E o \in flight :
       /\ o.c = c /\ Tell(c, o.end) \notin Range(post)
       /\ flight' = flight \ {o} /\ outbox' = outbox \ {o}
  /\ UNCHANGED <<now, broker, row, order, lane, registrar, who, open, adrift, ended, settling,
                 heldBack, dropped, streams, atAcceptor, device, seen, faults>>

\* The connection for outcomes is lost, and there is a new one: all that was not confirmed is
\* written again.
PostLost ==
  /\ registrar /\ Fault("post")
  /\ \E resent \in Orders({Tell(o.c, o.end) : o \in flight}) : post' = resent
  /\ UNCHANGED <<now, queue, again, unsettled, channel, told, store, lane, memory, streams,
                 atAcceptor, device, seen>>

\* All that was not settled comes back into the queue.
Requeued == /\ queue' = queue \union unsettled
            /\ again' = again \union unsettled
            /\ unsettled' = {} /\ channel' = <<>>

\* It was on its way to the registrar on a channel that was lost, and nobody has read it. The broker
\* calls it delivered all the same.
Unread(c) ==
  /\ faults > 0 /\ c \in queue \ again
  /\ again' = again \union {c}
  /\ UNCHANGED <<now, queue, unsettled, channel, post, told, store, lane, memory, streams, atAcceptor,
                 device, seen, faults>>

\* The channel is lost, and there is a new one. Which of its acks have arrived is not known: so the
\* ends of transient commands that the broker may not have seen settled are held back until that
\* shows.
ChannelLost ==
  /\ registrar /\ Fault("channel")
  /\ Requeued /\ settling' = {} /\ adrift' = open
  /\ IF Has("holdBack")
     THEN heldBack' = heldBack \union settling /\ UNCHANGED outbox
     ELSE outbox' = outbox \union {End(c, ended[c]) : c \in settling} /\ UNCHANGED heldBack
  /\ UNCHANGED <<now, post, told, row, order, lane, registrar, who, open, ended, flight, dropped,
                 streams, atAcceptor, device, seen>>

\* All transient ones that the broker gives again have come: the deliveries of others were settled.
NothingComesAgain(c) ==
  /\ registrar /\ c \in heldBack /\ again \intersect Transient = {}
  /\ heldBack' = heldBack \ {c}
  /\ Posted(<<Tell(c, ended[c])>>)
  /\ flight' = flight \union {End(c, ended[c])}
  /\ UNCHANGED <<now, queue, again, unsettled, channel, told, store, lane, registrar, who, open,
                 adrift, ended, settling, dropped, streams, atAcceptor, device, seen, faults>>

\* Many that wait for their devices must not fill the broker's prefetch: such a one is settled before
\* its end. Should the registrar die, its sender is told nothing.
SettleEarly(c) ==
  /\ registrar /\ c \in open \intersect unsettled /\ Ack(c) \notin Range(channel)
  /\ Wrote(<<Ack(c)>>)
  /\ UNCHANGED <<now, queue, again, unsettled, post, told, store, lane, memory, streams, atAcceptor,
                 device, seen, faults>>

-----------------------------------------------------------------------------
(* Ends. *)

\* Of transient commands: settled, and told when the broker has seen that. If their deliveries are of
\* a channel that was lost, they will come again, and then they are settled.
ConcludeAll(set) ==
  LET here == {e \in set : e.c \notin adrift}
      unsure == IF Has("settleFirst") THEN here ELSE {}
      acks == {Ack(e.c) : e \in {e \in here : e.c \in unsettled'}} \ Range(channel)
  IN /\ \E sequence \in Orders(acks) : Wrote(sequence)
     /\ ended' = [c \in Transient |->
          IF \E e \in set : e.c = c THEN (CHOOSE e \in set : e.c = c).end ELSE ended[c]]
     /\ settling' = settling \union {e.c : e \in unsure}
     /\ \E sequence \in Orders({Tell(e.c, e.end) : e \in here \ unsure}) : Posted(sequence)
     /\ flight' = flight \union (here \ unsure)
     /\ heldBack' = heldBack \union {e.c : e \in set \ here}
     /\ open' = open \ {e.c : e \in set} /\ adrift' = adrift \ {e.c : e \in set}

NoEnd == UNCHANGED <<channel, post, ends>>

\* Of kept ones: the row and its outcome in one transaction. A row that ended stays as it ended.
Recorded(c, state) ==
  /\ row' = [row EXCEPT ![c] = state]
  /\ outbox' = IF IsOver(state) THEN outbox \union {End(c, state)} ELSE outbox

\* What waits behind c may follow, once all of its window is answered.
Left(c) ==
  LET rest == window \ {c} IN
  /\ window' = rest /\ times' = [times EXCEPT ![c] = 0]
  /\ suspects' = IF Waiting(row') = {} THEN 0
                 ELSE IF c \in window THEN Max(suspects, 1) - 1 ELSE suspects
  /\ IF c \in window /\ rest = {} THEN begun' = 0 /\ between' = 0 ELSE UNCHANGED <<begun, between>>

\* c is due, or was ACKed and no RESULT came in time. "not-sent" says that it was never in a frame.
WasSent(c) == times[c] > 0 \/ (suspects > 0 /\ Has("suspects"))
Expire(c) ==
  /\ registrar
  /\ \/ /\ c \in Kept /\ row[c] \in {"waiting", "taken"} /\ IsDue(c)
        /\ Recorded(c, IF row[c] = "taken" THEN "no-result"
                       ELSE IF WasSent(c) THEN "no-answer" ELSE "not-sent")
        /\ Left(c) /\ NoEnd
        /\ UNCHANGED unsettled
     \/ /\ c \in open /\ IsDue(c)
        /\ UNCHANGED <<unsettled, row, outbox, lane>>
        /\ ConcludeAll({End(c, "no-answer")})
  /\ UNCHANGED <<now, queue, again, told, order, registrar, who, dropped, streams, atAcceptor,
                 device, seen, faults>>

-----------------------------------------------------------------------------
(* From the broker. *)

Frame(c, l) == [c |-> c, link |-> l]

\* Where the registrar sends what is for the link: to the acceptor whose `up` it has read last.
HasRoute == known # 0 /\ IF routed THEN stream ELSE behind
SendsDown(c) ==
  IF routed THEN down' = Append(down, Frame(c, known)) /\ UNCHANGED behindDown
  ELSE behindDown' = Append(behindDown, Frame(c, known)) /\ UNCHANGED down

\* May a transient command go between kept ones? So many that the window's first key is remembered.
Admits ==
  /\ suspects = 0 \/ ~Has("suspects")
  /\ window = {} \/ between < Keys - Window \/ ~Has("between")

\* A kept command: on record, then settled. One that is known is not judged again; its end is told
\* once more if its sender repeats it.
DeliverKept(c) ==
  /\ IF row[c] # "none" /\ Has("knownOnce")
     THEN /\ outbox' = IF IsOver(row[c]) /\ c \notin again
                       THEN outbox \union {End(c, row[c])} ELSE outbox
          /\ UNCHANGED <<row, order, dropped>>
     ELSE IF IsDue(c) THEN Recorded(c, "refused") /\ UNCHANGED <<order, dropped>>
     ELSE /\ IF Has("storeFirst")
             THEN row' = [row EXCEPT ![c] = "waiting"] /\ UNCHANGED dropped
             ELSE dropped' = dropped \union {c} /\ UNCHANGED row
          /\ order' = Append(Only(order, All \ {c}), c)
          /\ UNCHANGED outbox
  /\ Wrote(<<Ack(c)>>)
  /\ UNCHANGED <<post, ends, lane, down, behindDown>>

\* A transient one: now or never. One that comes again may have been sent by an earlier process.
DeliverTransient(c) ==
  /\ UNCHANGED <<store, dropped, window, times, begun, suspects>>
  /\ IF c \in again /\ c \in open
     THEN /\ adrift' = adrift \ {c}
          /\ UNCHANGED <<channel, post, open, ended, settling, heldBack, flight, between, down,
                         behindDown>>
     ELSE IF c \in again /\ ended[c] # "none"
     THEN /\ Wrote(<<Ack(c)>>)
          /\ settling' = settling \union ({c} \intersect heldBack)
          /\ heldBack' = heldBack \ {c}
          /\ UNCHANGED <<post, open, adrift, ended, flight, between, down, behindDown>>
     ELSE IF c \in again /\ Has("neverAgain")
     THEN ConcludeAll({End(c, "unknown")}) /\ UNCHANGED <<between, down, behindDown>>
     ELSE IF IsDue(c) \/ ~Admits
     THEN ConcludeAll({End(c, "refused")}) /\ UNCHANGED <<between, down, behindDown>>
     ELSE IF ~HasRoute
     THEN ConcludeAll({End(c, "offline")}) /\ UNCHANGED <<between, down, behindDown>>
     ELSE /\ open' = open \union {c}
          /\ between' = IF window = {} THEN between ELSE between + 1
          /\ SendsDown(c)
          /\ UNCHANGED <<channel, post, adrift, ended, settling, heldBack, flight>>

Deliver(c) ==
  /\ registrar /\ c \in queue
  /\ queue' = queue \ {c} /\ again' = again \ {c} /\ unsettled' = unsettled \union {c}
  /\ IF c \in Kept THEN DeliverKept(c) ELSE DeliverTransient(c)
  /\ UNCHANGED <<now, told, registrar, who, stream, shown, up, behind, behindOf, behindUp, routed,
                 parked, moves, atAcceptor, device, seen, faults>>

\* A sender repeats a kept command, as it has not seen the confirm of its own publish.
Repeat(c) ==
  /\ c \in Kept /\ c \notin queue \union unsettled /\ Fault("repeat")
  /\ queue' = queue \union {c}
  /\ UNCHANGED <<now, again, unsettled, channel, post, told, store, lane, memory, streams, atAcceptor,
                 device, seen>>

-----------------------------------------------------------------------------
(* To the link: kept commands, window by window. *)

\* The first that waits and is not under way. ACKed ones are never sent again.
MaySend(c) ==
  /\ row[c] = "waiting" \/ (row[c] = "taken" /\ ~Has("takenStays"))
  /\ c \notin window
IsNext(c) ==
  LET may == SelectSeq(order, MaySend) IN may # <<>> /\ Head(may) = c

Send(c) ==
  /\ registrar /\ HasRoute
  /\ c \in Kept /\ IsNext(c) /\ ~IsDue(c)
  /\ ~Has("window") \/ begun < (IF suspects > 0 /\ Has("suspects") THEN 1 ELSE Window)
  /\ window' = window \union {c} /\ times' = [times EXCEPT ![c] = 1] /\ begun' = begun + 1
  /\ SendsDown(c)
  /\ UNCHANGED <<now, broker, store, between, suspects, memory, stream, shown, up, behind, behindOf,
                 behindUp, routed, parked, moves, atAcceptor, device, seen, faults>>

\* The device's link is another one, or none. The registrar learns it later than it happens, so what
\* it learns may be over already. What was sent on the link before may have come there or not.
Learn(l) ==
  /\ registrar
  /\ IF l = 0 THEN known # 0 /\ known # link ELSE l \in newest + 1 .. links
  /\ known' = l /\ newest' = Max(newest, l)
  /\ suspects' = Max(suspects, Cardinality(window))
  /\ window' = {} /\ times' = Never /\ begun' = 0 /\ between' = 0
  /\ parked' = {}
  /\ routed' \in IF behind /\ l = behindOf THEN BOOLEAN ELSE {TRUE}
  /\ UNCHANGED unsettled
  /\ ConcludeAll({End(c, "link-lost") : c \in open})
  /\ UNCHANGED <<now, queue, again, told, store, registrar, dropped, stream, shown, down, up, behind,
                 behindOf, behindDown, behindUp, moves, atAcceptor, device, seen, faults>>

\* The link that is known already is shown once more: by a hand-over, or by a change that left it as
\* it was; or it has moved, and its new acceptor tells of it. What it may have missed is sent again. Of
\* transient ones only what the predecessor has said it has not sent: others may have been acted upon.
Show ==
  /\ registrar /\ stream /\ known # 0
  /\ routed' = TRUE /\ parked' = {}
  /\ IF shown /\ routed THEN Fault("row") ELSE UNCHANGED faults
  /\ shown' = TRUE
  /\ LET missed == IF routed \/ Has("sendAgain")
                   THEN SelectSeq(order, LAMBDA c : c \in window /\ ~IsDue(c)) ELSE <<>>
         unsent == IF routed \/ Has("movedFirst") THEN parked \intersect open ELSE open
     IN
     \* Nothing is ordered between the two.
     /\ \E rest \in Orders(unsent) : \E all \in {missed \o rest, rest \o missed} :
          down' = down \o [n \in DOMAIN all |-> Frame(all[n], known)]
     /\ times' = [c \in Kept |-> IF c \in Range(missed) THEN times[c] + 1 ELSE times[c]]
  /\ UNCHANGED <<now, broker, store, window, begun, between, suspects, memory, stream, up, behind,
                 behindOf, behindDown, behindUp, moves, atAcceptor, device, seen>>

-----------------------------------------------------------------------------
(* From the acceptor, and so from the device. *)

\* `taken`, `result`, or why it was not sent. Whatever has ended stays as it ended.
Unsent == {"gone", "expired", "busy", "moved"}
EndOf(what) ==
  CASE what = "result" -> "result" [] what = "gone" -> "offline"
    [] what = "expired" -> "not-sent" [] what = "busy" -> "refused"
Changes(m) ==
  /\ m.c \in Kept
  /\ IF m.what = "taken" THEN row[m.c] = "waiting"
     ELSE /\ m.what = "result" /\ row[m.c] # "none"
          /\ ~IsOver(row[m.c]) \/ ~Has("endStays")

\* Those about kept commands wait for a transaction; the others pass them by.
NextOf(answers) ==
  UNION {{n \in DOMAIN answers : answers[n].c \in set /\ \A k \in 1 .. n - 1 : answers[k].c \notin set} :
           set \in {Kept, Transient}}
NextAnswers == NextOf(up)
Removed(answers, n) == SubSeq(answers, 1, n - 1) \o SubSeq(answers, n + 1, Len(answers))

\* The predecessor did not send it, as the link has moved: its successor is sent it, or will be once it
\* has told of the link. Its end is told as that of any other.
SentOn(m) ==
  IF m.what = "moved" /\ m.c \in open /\ m.link = known
  THEN IF routed /\ stream
       THEN down' = Append(down, Frame(m.c, known)) /\ UNCHANGED parked
       ELSE parked' = parked \union {m.c} /\ UNCHANGED down
  ELSE UNCHANGED <<down, parked>>

Judged(m) ==
  /\ UNCHANGED unsettled
  /\ SentOn(m)
  /\ IF Changes(m)
     THEN Recorded(m.c, m.what) /\ Left(m.c) /\ NoEnd
     ELSE /\ UNCHANGED <<row, outbox, window, begun, between, suspects>>
          /\ times' = IF m.what \in Unsent /\ m.link = known /\ m.c \in window
                      THEN [times EXCEPT ![m.c] = @ - 1] ELSE times
          /\ IF m.c \in open /\ m.what \notin {"taken", "moved"}
             THEN ConcludeAll({End(m.c, EndOf(m.what))}) ELSE NoEnd
  /\ UNCHANGED <<now, queue, again, told, order, registrar, who, dropped, stream, shown, behind,
                 behindOf, behindDown, routed, moves, atAcceptor, device, seen, faults>>

Answer(n) ==
  /\ registrar /\ n \in NextAnswers
  /\ up' = Removed(up, n) /\ UNCHANGED behindUp
  /\ Judged(up[n])

AnswerBehind(n) ==
  /\ registrar /\ n \in NextOf(behindUp)
  /\ behindUp' = Removed(behindUp, n) /\ UNCHANGED up
  /\ Judged(behindUp[n])

\* Mutants only: an outcome is told, or a delivery settled, before its transaction.
TellEarly ==
  /\ ~Has("commitFirst") /\ registrar /\ up # <<>>
  /\ LET m == Head(up) IN
     /\ Changes(m) /\ m.what = "result"
     /\ Tell(m.c, "result") \notin Range(post) /\ Posted(<<Tell(m.c, "result")>>)
  /\ UNCHANGED <<now, queue, again, unsettled, channel, told, store, lane, memory, streams, atAcceptor,
                 device, seen, faults>>
StoreLate(c) ==
  /\ registrar /\ c \in dropped
  /\ dropped' = dropped \ {c} /\ row' = [row EXCEPT ![c] = "waiting"]
  /\ UNCHANGED <<now, broker, order, outbox, lane, registrar, who, ends, streams, atAcceptor, device,
                 seen, faults>>

-----------------------------------------------------------------------------
(* The acceptor. *)

\* What it says while it has no stream goes nowhere.
Says(what, c, l) ==
  up' = IF stream THEN Append(up, [what |-> what, c |-> c, link |-> l]) ELSE up
SaysOf(what, c) == Says(what, c, link)

\* The frame says how long the command is still wanted, counted from when it comes. One that is due
\* is not sent, nor one that finds no room. One for a link that is not the device's any more is not
\* sent either; or it is, and goes nowhere, when that link is half-open: nobody here has noticed its
\* end.
\* While a link is offered, what comes for it waits: till it is back, or till it has gone.
TakeCommand ==
  /\ ~isOffered
  /\ down # <<>> /\ down' = Tail(down)
  /\ LET f == Head(down) IN
     IF f.link # link
     THEN /\ \/ Says("gone", f.c, f.link) /\ UNCHANGED written
             \/ written' = written \union {f.c} /\ UNCHANGED up
          /\ UNCHANGED <<atLink, wire, twice, late, faults>>
     ELSE IF f.c \in atLink
     THEN /\ IF f.c \in ackedAt THEN SaysOf("taken", f.c) ELSE UNCHANGED up
          /\ UNCHANGED <<atLink, wire, seen, faults>>
     ELSE IF IsDue(f.c)
     THEN SaysOf("expired", f.c) /\ UNCHANGED <<atLink, wire, seen, faults>>
     ELSE \/ /\ atLink' = atLink \union {f.c}
             /\ wire' = Append(wire, [c |-> f.c, left |-> Due - now])
             /\ written' = written \union {f.c}
             /\ twice' = (twice \/ f.c \in Transient \intersect written)
             /\ UNCHANGED <<up, late, faults>>
          \/ Fault("busy") /\ SaysOf("busy", f.c) /\ UNCHANGED <<atLink, wire, seen>>
  /\ UNCHANGED <<now, broker, store, lane, memory, stream, shown, route, link, links, isOffered,
                 ackedAt, back, device>>

\* An ACK or a RESULT. One for nothing that is open is a stray.
TakeAnswer ==
  /\ ~isOffered
  /\ back # <<>> /\ back' = Tail(back)
  /\ LET m == Head(back) IN
     IF m.c \notin atLink THEN UNCHANGED <<atLink, ackedAt, up>>
     ELSE IF m.what = "ACK"
     THEN /\ ackedAt' = ackedAt \union {m.c}
          /\ IF m.c \in ackedAt THEN UNCHANGED up ELSE SaysOf("taken", m.c)
          /\ UNCHANGED atLink
     ELSE /\ atLink' = atLink \ {m.c} /\ ackedAt' = ackedAt \ {m.c}
          /\ SaysOf("result", m.c)
  /\ UNCHANGED <<now, broker, store, lane, memory, stream, shown, down, route, link, links, isOffered,
                 wire, device, seen, faults>>

-----------------------------------------------------------------------------
(* Moves. *)

\* A link with no open command. The predecessor may take it back until it has said "go".
Offer ==
  /\ link # 0 /\ ~isOffered /\ atLink = {} /\ moves < Moves
  /\ ~behind /\ behindDown = <<>> /\ behindUp = <<>>
  /\ isOffered' = TRUE /\ moves' = moves + 1
  /\ UNCHANGED <<now, broker, store, lane, memory, stream, shown, down, up, behind, behindOf,
                 behindDown, behindUp, routed, parked, link, links, atLink, ackedAt, wire, back,
                 device, seen, faults>>
Cancel ==
  /\ isOffered /\ isOffered' = FALSE
  /\ UNCHANGED <<now, broker, store, lane, memory, streams, link, links, atLink, ackedAt, wire, back,
                 device, seen, faults>>

\* The successor reads the link. The registrar will learn it from the successor, and sends to the
\* predecessor until then. (The successor may have no stream just now.)
MovedOn ==
  /\ isOffered /\ isOffered' = FALSE
  /\ stream' \in {registrar, FALSE} /\ shown' = FALSE /\ down' = <<>> /\ up' = <<>>
  /\ behindOf' = link /\ routed' = (routed /\ known # link)
Go ==
  /\ MovedOn
  /\ behind' = stream
  /\ behindDown' = IF stream THEN down ELSE <<>>
  /\ behindUp' = up
  /\ UNCHANGED <<now, broker, store, lane, memory, parked, moves, link, links, atLink, ackedAt, wire,
                 back, device, seen, faults>>

\* The predecessor dies while the link is offered: the successor reads it. What the predecessor wrote
\* last may be read.
PredecessorExit ==
  /\ MovedOn /\ Fault("acceptor")
  /\ behind' = FALSE /\ behindDown' = <<>>
  /\ \E rest \in Prefixes(up) : behindUp' = rest
  /\ UNCHANGED <<now, broker, store, lane, memory, parked, moves, link, links, atLink, ackedAt, wire,
                 back, device, seen>>

\* What still comes to the predecessor was not sent, and it says so.
TakeBehind ==
  /\ behind /\ behindDown # <<>> /\ behindDown' = Tail(behindDown)
  /\ LET f == Head(behindDown) IN
     behindUp' = IF f.link # behindOf
                 THEN Append(behindUp, [what |-> "gone", c |-> f.c, link |-> f.link])
                 ELSE IF Has("saysMoved")
                 THEN Append(behindUp, [what |-> "moved", c |-> f.c, link |-> f.link])
                 ELSE behindUp
  /\ UNCHANGED <<now, broker, store, lane, memory, stream, shown, down, up, behind, behindOf, routed,
                 parked, moves, atAcceptor, device, seen, faults>>

\* The predecessor's stream breaks, or it dies; or it ends because the registrar has told it that it
\* knows of the move, and all that it was sent is answered.
BehindLost ==
  /\ behind /\ behind' = FALSE /\ behindDown' = <<>>
  /\ \/ Fault("stream") \/ Fault("acceptor")
     \/ ((routed /\ behindDown = <<>>) \/ ~Has("stays")) /\ UNCHANGED faults
  /\ \E rest \in (IF faults' = faults THEN {behindUp} ELSE Prefixes(behindUp)) : behindUp' = rest
  /\ UNCHANGED <<now, broker, store, lane, memory, stream, shown, down, up, behindOf, routed, parked,
                 moves, atAcceptor, device, seen>>

-----------------------------------------------------------------------------
(* The device. *)

Of(what, c) == [what |-> what, c |-> c]
Answers(what, c) == back' = Append(back, Of(what, c))
Remember(c) ==
  LET all == Append(keys, c) IN
  keys' = SubSeq(all, IF Len(all) > Keys THEN 2 ELSE 1, Len(all))

IsDoing(c) == \E d \in doing : d.c = c

\* A key that it knows is answered as before, with or without an ACK. Another is remembered, then
\* taken; an ACK if it takes long.
Get ==
  /\ wire # <<>> /\ wire' = Tail(wire)
  /\ LET f == Head(wire) IN
     IF IsDoing(f.c)
     THEN /\ doing' = {IF d.c = f.c THEN [d EXCEPT !.link = link] ELSE d : d \in doing}
          /\ Answers("ACK", f.c) /\ UNCHANGED keys
     ELSE IF f.c \in Range(keys) /\ Has("sameKey")
     THEN /\ \/ Answers("RESULT", f.c)
             \/ back' = back \o <<Of("ACK", f.c), Of("RESULT", f.c)>>
          /\ UNCHANGED <<keys, doing>>
     ELSE /\ IF Has("rememberFirst") THEN Remember(f.c) ELSE UNCHANGED keys
          /\ doing' = doing \union {[c |-> f.c, link |-> link, until |-> now + f.left]}
          /\ UNCHANGED back \/ Answers("ACK", f.c)
  /\ UNCHANGED <<now, broker, store, lane, memory, streams, link, links, isOffered, atLink, ackedAt,
                 acted, seen, faults>>

\* It acts, unless expiresIn is over; then it says so.
Do(c) ==
  /\ \E d \in doing :
       LET isWanted == now < d.until \/ ~Has("expiresIn") IN
       /\ d.c = c /\ doing' = doing \ {d}
       /\ acted' = IF isWanted THEN [acted EXCEPT ![c] = @ + 1] ELSE acted
       /\ late' = (late \/ (isWanted /\ now >= d.until))
       /\ IF d.link = link THEN Answers("RESULT", c) ELSE UNCHANGED back
  /\ IF Has("rememberFirst") THEN UNCHANGED keys ELSE Remember(c)
  /\ UNCHANGED <<now, broker, store, lane, memory, streams, link, links, isOffered, atLink, ackedAt,
                 wire, written, twice, faults>>

-----------------------------------------------------------------------------
(* Links, and what is lost. *)

Accept ==
  /\ link = 0 /\ links < Links
  /\ links' = links + 1 /\ link' = links'
  /\ UNCHANGED <<now, broker, store, lane, memory, streams, isOffered, atLink, ackedAt, wire, back,
                 device, seen, faults>>

LinkOver == link' = 0 /\ isOffered' = FALSE /\ atLink' = {} /\ ackedAt' = {} /\ wire' = <<>> /\ back' = <<>>

\* A link is lost, and all that is on it. A takeover is this, then Accept.
LinkLost ==
  /\ link # 0 /\ LinkOver
  /\ UNCHANGED <<now, broker, store, lane, memory, streams, links, device, seen, faults>>

\* The device restarts. Its keys are in flash. (The mutant: it acts, and dies before it remembers.)
DeviceCrash ==
  /\ link # 0 /\ LinkOver /\ Fault("device")
  /\ doing' = {}
  /\ \/ UNCHANGED <<acted, late>>
     \/ /\ ~Has("rememberFirst") /\ UNCHANGED late
        /\ \E d \in doing : now < d.until /\ acted' = [acted EXCEPT ![d.c] = @ + 1]
  /\ UNCHANGED <<now, broker, store, lane, memory, streams, links, keys, written, twice>>

\* The stream breaks. What was written last may still be read, on either side.
StreamLost ==
  /\ stream /\ Fault("stream")
  /\ stream' = FALSE /\ shown' = FALSE
  /\ \E rest \in Prefixes(down) : down' = rest
  /\ \E rest \in Prefixes(up) : up' = rest
  /\ UNCHANGED <<now, broker, store, lane, memory, route, atAcceptor, device, seen>>

AcceptorExit ==
  /\ stream /\ ~isOffered /\ Fault("acceptor")
  /\ stream' = FALSE /\ shown' = FALSE /\ down' = <<>>
  /\ \E rest \in Prefixes(up) : up' = rest
  /\ LinkOver
  /\ UNCHANGED <<now, broker, store, lane, memory, route, links, device, seen>>

\* Only once the older stream has been read to its end.
Connect ==
  /\ registrar /\ ~stream /\ down = <<>> /\ up = <<>>
  /\ stream' = TRUE
  /\ UNCHANGED <<now, broker, store, lane, memory, shown, down, up, route, atAcceptor, device, seen,
                 faults>>

RegistrarCrash ==
  /\ registrar /\ Fault("registrar")
  /\ registrar' = FALSE /\ known' = 0 /\ newest' = 0
  /\ open' = {} /\ adrift' = {} /\ settling' = {} /\ heldBack' = {} /\ flight' = {}
  /\ ended' = [c \in Transient |-> "none"] /\ dropped' = {}
  /\ window' = {} /\ times' = Never /\ begun' = 0 /\ between' = 0 /\ suspects' = 0
  /\ Requeued /\ post' = <<>>
  /\ stream' = FALSE /\ shown' = FALSE /\ up' = <<>>
  /\ \E rest \in Prefixes(down) : down' = rest
  /\ behind' = FALSE /\ behindDown' = <<>> /\ behindUp' = <<>> /\ routed' = TRUE /\ parked' = {}
  /\ outbox' = IF Has("outcomeStored") THEN outbox ELSE {}
  /\ UNCHANGED <<now, told, row, order, behindOf, moves, atAcceptor, device, seen>>

\* What an earlier process had sent is not known: as many as it may have had in its window.
RegistrarStart ==
  /\ ~registrar /\ registrar' = TRUE
  /\ suspects' = Min(Cardinality(Waiting(row)), Window)
  /\ UNCHANGED <<now, broker, store, window, times, begun, between, who, ends, dropped, streams,
                 atAcceptor, device, seen, faults>>

-----------------------------------------------------------------------------
World ==
  \/ Offer \/ Cancel
  \/ Accept \/ LinkLost \/ DeviceCrash
  \/ StreamLost \/ AcceptorExit \/ PredecessorExit \/ ChannelLost \/ PostLost \/ RegistrarCrash
  \/ \E c \in All : Repeat(c) \/ Unread(c)
System ==
  \/ Tick \/ ArriveAck \/ ArriveTell \/ Show \/ TellEarly
  \/ \E c \in Transient : NothingComesAgain(c) \/ Settled(c) \/ SettleEarly(c)
  \/ \E l \in 0 .. links : Learn(l)
  \/ \E n \in DOMAIN up : Answer(n)
  \/ \E n \in DOMAIN behindUp : AnswerBehind(n)
  \/ Go \/ TakeBehind \/ BehindLost
  \/ \E c \in All : Publish(c) \/ Confirm(c) \/ Deliver(c) \/ Send(c) \/ Expire(c) \/ StoreLate(c)
  \/ TakeCommand \/ TakeAnswer \/ Get \/ Connect \/ RegistrarStart
  \/ \E c \in All : Do(c)
Next == World \/ System

Spec == Init /\ [][Next]_vars
\* As long as a step is possible, one is taken.
FairSpec == Spec /\ WF_vars(System)

-----------------------------------------------------------------------------
(* What must hold. *)

\* A door never opens twice, for a device that remembers as many keys as the protocol says.
Once == \A c \in All : acted[c] <= 1
TransientOnce == ~twice

\* Never two different final outcomes.
OneEnd == \A a, b \in told : a.c = b.c => a.end = b.end

\* These ends say that nothing was sent: nor was it, nor will it be.
NotSent == {"not-sent", "offline", "refused"}
NotSentIsSure == \A o \in told : o.end \in NotSent => o.c \notin written /\ acted[o.c] = 0

\* All that a clock can promise: a device never acts later after the frame came than the frame was
\* written before the deadline. So after `expired` by no more than the frame was on its way.
InTime == ~late

\* A kept command is always somewhere: with the broker, or on record, or told.
NeverLost ==
  \A c \in Kept :
    \/ c \in queue \union unsettled
    \/ row[c] \in {"waiting", "taken"}
    \/ \E o \in outbox \union told : o.c = c
    \/ c \in dropped \/ \E m \in Range(post) : m.c = c

\* A move costs no command: when the link has one acceptor again, and nothing is on its way, all that
\* was sent is answered. (A frame in the stream of a predecessor that dies is not.)
NothingStuck ==
  /\ registrar /\ stream /\ shown /\ routed /\ known = link /\ link # 0 /\ ~isOffered
  /\ \A s \in {down, up, behindDown, behindUp, wire, back} : s = <<>>
  /\ doing = {} /\ now < Due
  => window = {} /\ parked \intersect open = {} /\ (faults = 0 => open = {})

TypeOK ==
  /\ again \subseteq queue /\ queue \intersect unsettled = {}
  /\ open \subseteq Transient /\ adrift \subseteq open /\ settling \subseteq Transient
  /\ heldBack \subseteq Transient /\ window \subseteq Kept
  /\ ackedAt \subseteq atLink /\ Len(keys) <= Keys
  /\ Cardinality(window) <= Window

\* In the end every sender of a kept command has been told.
AllTold == \A c \in Kept : <>(\E o \in told : o.c = c)
=============================================================================
