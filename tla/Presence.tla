------------------------------ MODULE Presence ------------------------------
(***************************************************************************)
(* Who is connected: how the links that acceptors hold become one row per  *)
(* device in the store, and how the rows become every subscriber's last    *)
(* word, while processes die at any moment.                                *)
(*                                                                         *)
(*   acceptors --stream--> registrar --transaction--> store (row, outbox)  *)
(*       ^--- notices ---------'                            |              *)
(*                                 subscribers <-- broker <-'              *)
(*                                                                         *)
(* How to read it: VARIABLES say what exists; then each action is one step *)
(* of one process. An action lists what must hold for the step to happen,  *)
(* and the values (x') that it leaves behind. TLC tries every order of all *)
(* steps. The code's trace lines carry the names of these actions.         *)
(* docs/presence-spec.md walks through it.                                 *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Devices,    \* the fleet
  Early,      \* subscribers that were there from the beginning
  Late,       \* subscribers that come at any time, and query
  Acceptors,  \* how many acceptors run at a time
  Accepts,    \* how many links there will ever be
  Kinds,      \* which faults may happen: see Fault
  Faults,     \* how many of them, in any mixture
  OutboxMax,  \* above so many events, only the newest of each device is kept
  Damps,      \* may takeovers be put off, as for two boxes that share one id?
  Events,     \* FALSE leaves out all events and subscribers, to look deeper at the rows alone
  Without     \* the rule left out, to see what it is good for; or "nothing"

VARIABLES
  \* Links. A connection id is a place in this sequence, so a larger one was accepted later.
  links,      \* <<[device, acceptor, start, tick], ...>>, of all links ever accepted
  open,       \* those that are open now: the truth about who is connected

  \* The node: a supervisor that starts acceptors and sees them exit.
  start,      \* how often the node was started
  tick,       \* the machine's clock of accepts; a reboot turns it back
  born,       \* incarnations of acceptors so far; they are numbered 1 .. born
  alive,      \* those that run
  ended,      \* those whose exit the supervisor has seen and told the registrar

  \* One stream from each acceptor to the registrar, and notices the other way.
  state,      \* per incarnation: "off", "handing" (over its links), "handed"
  untold,     \* per link, what its acceptor has to tell: "nothing", that it is "owed" by the
              \* hand-over, or has "begun", or "ended"
  stream,     \* per incarnation: messages told, and not yet dealt with by the registrar
  notices,    \* links whose acceptors are told to close them

  \* The registrar's memory.
  registrar,  \* does it run?
  shown,      \* links that it was told of on the streams of now
  handed,     \* incarnations whose hand-over is complete
  sweeping,   \* ended ones whose rows are on their way offline
  held,       \* per device: the link that has to wait with its takeover, or 0

  \* The store: survives everything.
  row,        \* per device: [seq, online, connection]
  outbox,     \* events recorded and not yet confirmed
  floor,      \* the highest seq of any row that was forgotten

  \* The registrar's link to the broker.
  flight,     \* events that the broker took on this link, their confirms being on the way

  \* Subscribers.
  phase,      \* "away", "bound" (its queue exists), "asked" (for a snapshot), "joined"
  queue,      \* events that wait for it; a set, as their order means nothing
  answer,     \* the snapshot on its way to it
  view,       \* per device: the last word that it knows

  faults      \* how many there were

truth == <<links, open>>
node == <<start, tick, born, alive, ended>>
streams == <<state, untold, stream, notices>>
memory == <<registrar, shown, handed, sweeping, held>>
store == <<row, outbox, floor>>
subscribers == <<phase, queue, answer, view>>
vars == <<truth, node, streams, memory, store, flight, subscribers, faults>>

Has(rule) == Without # rule

Incarnations == 1 .. born
Connections == DOMAIN links

\* All that there can ever be. (A device changes twice for each of its links, at most.)
AllIncarnations == 1 .. Acceptors * (1 + Faults)
AllConnections == 1 .. Accepts
AllSeqs == 1 .. 2 * Accepts

Subscribers == Early \union Late
LinksOf(i) == {c \in Connections : links[c].acceptor = i}

NoRow == [seq |-> 0, online |-> FALSE, connection |-> 0]
EventOf(d, r) == [device |-> d, seq |-> r.seq, online |-> r.online, connection |-> r.connection]
WordOf(e) == [seq |-> e.seq, online |-> e.online, connection |-> e.connection]

Max(a, b) == IF a > b THEN a ELSE b

-----------------------------------------------------------------------------
(* The beginning: a node with n acceptors, all handed over; nobody is connected. *)

Began(n) ==
  /\ links = <<>> /\ open = {}
  /\ start = 1 /\ tick = 0 /\ born = n /\ alive = 1 .. n /\ ended = {}
  /\ state = [i \in 1 .. n |-> "handed"]
  /\ untold = <<>>
  /\ stream = [i \in 1 .. n |-> <<>>]
  /\ notices = {}
  /\ registrar = TRUE /\ shown = {} /\ handed = 1 .. n /\ sweeping = {}
  /\ held = [d \in Devices |-> 0]
  /\ row = [d \in Devices |-> NoRow] /\ outbox = {} /\ floor = 0
  /\ flight = {}
  /\ phase = [s \in Subscribers |-> IF s \in Early THEN "joined" ELSE "away"]
  /\ queue = [s \in Subscribers |-> {}]
  /\ answer = [s \in Subscribers |-> [d \in Devices |-> NoRow]]
  /\ view = [s \in Subscribers |-> [d \in Devices |-> NoRow]]
  /\ faults = 0

Init == Began(Acceptors)

\* Every fault takes one from the budget, or the model would never come to rest.
Fault(kind) == kind \in Kinds /\ faults < Faults /\ faults' = faults + 1

-----------------------------------------------------------------------------
(* Acceptors. WELCOME never waits for the registrar: links come and go whatever it does. *)

Message(kind, c) == [kind |-> kind, connection |-> c]
Told(i, message) == stream' = [stream EXCEPT ![i] = Append(@, message)]

\* Everything about i's links that was still to be told is forgotten: it will be told anew.
Untold(is) ==
  untold' = [c \in Connections |-> IF links[c].acceptor \in is THEN "nothing" ELSE untold[c]]

\* A link of d begins at the time t. Another link of the same device may still be open.
AcceptAt(i, d, t) ==
  /\ i \in alive
  /\ tick' = t
  /\ links' = Append(links, [device |-> d, acceptor |-> i, start |-> start, tick |-> t])
  /\ open' = open \union {Len(links')}
  /\ untold' = Append(untold, IF state[i] = "off" THEN "nothing" ELSE "begun")
  /\ UNCHANGED <<start, born, alive, ended, state, stream, notices, memory, store, flight,
                 subscribers, faults>>

Accept(i, d) == Len(links) < Accepts /\ AcceptAt(i, d, tick + 1)

\* The endpoint of c is closed. If it was not told that it began, nor will it be that it ended.
Closed(c) ==
  /\ open' = open \ {c}
  /\ untold' = [untold EXCEPT ![c] =
       IF state[links[c].acceptor] = "off" \/ @ = "begun" THEN "nothing" ELSE "ended"]

\* A link ends, for whatever reason of its own.
End(c) ==
  /\ c \in open /\ Closed(c)
  /\ UNCHANGED <<links, node, state, stream, notices, memory, store, flight, subscribers, faults>>

\* A notice arrives: another link is the device's. This one may have ended meanwhile.
TakeOver(c) ==
  /\ c \in notices /\ notices' = notices \ {c}
  /\ IF c \in open THEN Closed(c) ELSE UNCHANGED <<open, untold>>
  /\ UNCHANGED <<links, node, state, stream, memory, store, flight, subscribers, faults>>

\* Rule 1: on every connect the acceptor hands over all links that it holds, ...
\* Of an older stream the registrar may have got some more, but not after the newer one began.
Prefixes(messages) == {SubSeq(messages, 1, n) : n \in 0 .. Len(messages)}
IsChange(message) == message.kind \in {"up", "down"}
Leftovers(i) == UNION {{rest, SelectSeq(rest, IsChange)} : rest \in Prefixes(stream[i])}

Connect(i) ==
  /\ i \in alive /\ state[i] = "off" /\ registrar
  /\ state' = [state EXCEPT ![i] = IF Has("handOver") THEN "handing" ELSE "handed"]
  /\ untold' = [c \in Connections |->
       IF links[c].acceptor # i THEN untold[c]
       ELSE IF c \in open /\ Has("handOver") THEN "owed" ELSE "nothing"]
  /\ \E rest \in IF Has("newestStream") THEN Leftovers(i) ELSE {stream[i]} :
       stream' = [stream EXCEPT ![i] =
         IF ~Has("handOver") THEN rest
         ELSE IF Has("newestStream") THEN Append(rest, Message("begin", 0))
         ELSE <<Message("begin", 0)>> \o rest]
  /\ UNCHANGED <<truth, node, notices, memory, store, flight, subscribers, faults>>

\* ... one by one, while links go on to come and go, ...
HandOver(c) ==
  /\ c \in Connections /\ untold[c] = "owed"
  /\ untold' = [untold EXCEPT ![c] = "nothing"]
  /\ Told(links[c].acceptor, Message("up", c))
  /\ UNCHANGED <<truth, node, state, notices, memory, store, flight, subscribers, faults>>

\* ... and says when that was all.
HandOverEnd(i) ==
  /\ i \in alive /\ state[i] = "handing"
  /\ \A c \in LinksOf(i) : untold[c] # "owed"
  /\ state' = [state EXCEPT ![i] = "handed"]
  /\ Told(i, Message("all", 0))
  /\ UNCHANGED <<truth, node, untold, notices, memory, store, flight, subscribers, faults>>

\* A link that began since the connect. The hand-over may come by it and tell it once more.
WriteUp(c) ==
  /\ c \in Connections /\ untold[c] = "begun"
  /\ \E next \in {"nothing"} \union IF state[links[c].acceptor] = "handing" THEN {"owed"} ELSE {} :
       untold' = [untold EXCEPT ![c] = next]
  /\ Told(links[c].acceptor, Message("up", c))
  /\ UNCHANGED <<truth, node, state, notices, memory, store, flight, subscribers, faults>>

WriteDown(c) ==
  /\ c \in Connections /\ untold[c] = "ended"
  /\ untold' = [untold EXCEPT ![c] = "nothing"]
  /\ Told(links[c].acceptor, Message("down", c))
  /\ UNCHANGED <<truth, node, state, notices, memory, store, flight, subscribers, faults>>

\* The stream breaks, or its acceptor gives it up because the registrar reads too slowly.
StreamLost(i) ==
  /\ i \in alive /\ state[i] # "off" /\ Fault("stream")
  /\ state' = [state EXCEPT ![i] = "off"]
  /\ Untold({i})
  /\ notices' = notices \ LinksOf(i)
  /\ UNCHANGED <<truth, node, stream, memory, store, flight, subscribers>>

\* An acceptor dies, and its links with it. What it wrote last can still be read.
AcceptorExit(i) ==
  /\ i \in alive /\ Fault("acceptor")
  /\ alive' = alive \ {i}
  /\ open' = open \ LinksOf(i)
  /\ state' = [state EXCEPT ![i] = "off"]
  /\ Untold({i})
  /\ notices' = notices \ LinksOf(i)
  /\ UNCHANGED <<links, start, tick, born, ended, stream, memory, store, flight, subscribers>>

-----------------------------------------------------------------------------
(* The supervisor. *)

\* Rule 5: an end is seen, not guessed from silence, and what is left of the stream is ignored.
ExitSeen(i) ==
  /\ i \in Incarnations \ ended /\ registrar
  /\ IF Has("exitSeen") THEN i \notin alive ELSE state[i] = "off"
  /\ ended' = ended \union {i} /\ sweeping' = sweeping \union {i}
  /\ stream' = IF Has("ignoreRest") THEN [stream EXCEPT ![i] = <<>>] ELSE stream
  /\ held' = [d \in Devices |-> IF held[d] \in LinksOf(i) THEN 0 ELSE held[d]]
  /\ UNCHANGED <<truth, start, tick, born, alive, state, untold, notices, registrar, shown,
                 handed, store, flight, subscribers, faults>>

\* A new incarnation; its number is never used again.
AcceptorStart ==
  /\ Cardinality(alive) < Acceptors
  /\ born' = born + 1
  /\ alive' = alive \union {born'}
  /\ state' = Append(state, "off")
  /\ stream' = Append(stream, <<>>)
  /\ UNCHANGED <<truth, start, tick, ended, untold, notices, memory, store, flight, subscribers,
                 faults>>

\* The registrar's memory is lost, and with it its streams and its link to the broker.
RegistrarLost ==
  /\ registrar' = FALSE /\ shown' = {} /\ handed' = {} /\ sweeping' = {}
  /\ held' = [d \in Devices |-> 0]
  /\ state' = [i \in Incarnations |-> "off"]
  /\ stream' = [i \in Incarnations |-> <<>>]
  /\ Untold(Incarnations)
  /\ notices' = {}
  /\ flight' = {}
  /\ outbox' = IF Has("outbox") THEN outbox ELSE {}

RegistrarCrash ==
  /\ registrar /\ Fault("registrar") /\ RegistrarLost
  /\ UNCHANGED <<truth, node, row, floor, subscribers>>

\* It looks for what an earlier one did not get done.
RegistrarStart ==
  /\ ~registrar /\ registrar' = TRUE
  /\ sweeping' =
       {i \in ended : \E d \in Devices : row[d].online /\ links[row[d].connection].acceptor = i}
  /\ UNCHANGED <<truth, node, streams, shown, handed, held, store, flight, subscribers, faults>>

\* Everything dies at once and is started again, perhaps after a reboot. All that ran is over.
NodeStart ==
  /\ Fault("node") /\ RegistrarLost
  /\ open' = {} /\ alive' = {} /\ ended' = Incarnations
  /\ start' = start + 1 /\ tick' = 0
  /\ UNCHANGED <<links, born, row, floor, subscribers>>

-----------------------------------------------------------------------------
(* The registrar. Each step is one transaction. The code puts many into one, which only leaves *)
(* out moments at which it could have died.                                                    *)

\* Rule 2: the order of accepts is (node start number, clock). No link is later than itself, so
\* an ended connection never rises again.
Later(c, other) ==
  IF other = 0 THEN TRUE
  ELSE LET a == links[c]  b == links[other] IN
       IF a.start # b.start /\ Has("startNumber") THEN a.start > b.start ELSE a.tick > b.tick

\* The row changes, and by rule 3 the event is recorded in the same transaction.
Record(d, r) ==
  /\ row' = [row EXCEPT ![d] = r]
  /\ outbox' = IF Events THEN outbox \union {EventOf(d, r)} ELSE outbox
  /\ UNCHANGED floor

NextSeq(d) == IF row[d] = NoRow THEN (IF Has("floor") THEN floor ELSE 0) + 1 ELSE row[d].seq + 1

\* Is c known as its device's link already? Does it take its device's row?
IsKnown(c) == LET r == row[links[c].device] IN r.online /\ r.connection = c
Takes(c) == ~IsKnown(c) /\ (Later(c, row[links[c].device].connection) \/ ~Has("latestWins"))

\* The row of a device once c is its link, and once its link is over.
Taken(c) ==
  LET d == links[c].device IN
  [seq |-> IF row[d].online /\ ~Has("countAll") THEN row[d].seq ELSE NextSeq(d),
   online |-> TRUE, connection |-> c]
Over(d) == [row[d] EXCEPT !.seq = NextSeq(d), !.online = FALSE]

IsNext(i, kind) ==
  registrar /\ i \in Incarnations /\ stream[i] # <<>> /\ Head(stream[i]).kind = kind
Read(i) == stream' = [stream EXCEPT ![i] = Tail(@)]

\* Rule 4: only an acceptor with a stream can be told; any other one will hand over its links.
Notice(c) == IF c = 0 \/ state[links[c].acceptor] = "off" THEN {} ELSE {c}

\* The latest accept takes the row, and the loser is told, whichever of the two it is.
Judge(c, others) ==
  LET d == links[c].device
      displaced == IF row[d].online /\ Has("takeOver") THEN Notice(row[d].connection) ELSE {}
      loser == IF Has("closeLoser") THEN Notice(c) ELSE {}
  IN CASE IsKnown(c) -> notices' = notices \union others /\ UNCHANGED store
       [] Takes(c) -> notices' = notices \union others \union displaced /\ Record(d, Taken(c))
       [] OTHER -> notices' = notices \union others \union loser /\ UNCHANGED store

\* A link that waits with its takeover, if it is not c; and does c come too late even for that?
Waiting(c) == LET h == held[links[c].device] IN IF h = c THEN 0 ELSE h
IsOutdone(c) == Waiting(c) # 0 /\ ~Later(c, Waiting(c))

Up(i) ==
  /\ IsNext(i, "up") /\ Read(i)
  /\ LET c == Head(stream[i]).connection IN
     /\ ~IsOutdone(c)
     /\ shown' = shown \union {c}
     /\ held' = [held EXCEPT ![links[c].device] = 0]
     /\ Judge(c, Notice(Waiting(c)))
  /\ UNCHANGED <<truth, node, state, untold, registrar, handed, sweeping, flight, subscribers,
                 faults>>

\* A device whose links take over from each other again and again is damped: its newest link has
\* to wait, open, and the row still names the older one.
Hold(i) ==
  /\ Damps /\ IsNext(i, "up") /\ Read(i)
  /\ LET c == Head(stream[i]).connection
         d == links[c].device
     IN
     /\ shown' = shown \union {c}
     /\ IF IsOutdone(c)
        THEN notices' = notices \union Notice(c) /\ UNCHANGED held
        ELSE /\ Takes(c) /\ row[d].online
             /\ notices' = notices \union Notice(Waiting(c))
             /\ held' = [held EXCEPT ![d] = c]
  /\ UNCHANGED <<truth, node, state, untold, registrar, handed, sweeping, store, flight,
                 subscribers, faults>>

\* Its time has come, or the row went offline.
HeldUp(d) ==
  /\ registrar /\ held[d] # 0
  /\ held' = [held EXCEPT ![d] = 0]
  /\ Judge(held[d], {})
  /\ UNCHANGED <<truth, node, state, untold, stream, registrar, shown, handed, sweeping, flight,
                 subscribers, faults>>

\* down(c) applies only while the row names c.
Down(i) ==
  /\ IsNext(i, "down") /\ Read(i)
  /\ LET c == Head(stream[i]).connection
         d == links[c].device
     IN
     /\ held' = IF held[d] = c THEN [held EXCEPT ![d] = 0] ELSE held
     /\ IF row[d].online /\ (row[d].connection = c \/ ~Has("downNamed"))
        THEN Record(d, Over(d)) ELSE UNCHANGED store
  /\ UNCHANGED <<truth, node, state, untold, notices, registrar, shown, handed, sweeping, flight,
                 subscribers, faults>>

\* Rule 1: a newer stream begins; what the one before had shown counts no more.
Begin(i) ==
  /\ IsNext(i, "begin") /\ Read(i)
  /\ shown' = shown \ LinksOf(i)
  /\ handed' = handed \ {i}
  /\ UNCHANGED <<truth, node, state, untold, notices, registrar, sweeping, held, store, flight,
                 subscribers, faults>>

\* The hand-over is complete; ...
HandedOver(i) ==
  /\ IsNext(i, "all") /\ Read(i)
  /\ handed' = handed \union {i}
  /\ held' = [d \in Devices |-> IF held[d] \in LinksOf(i) \ shown THEN 0 ELSE held[d]]
  /\ UNCHANGED <<truth, node, state, untold, notices, registrar, shown, sweeping, store, flight,
                 subscribers, faults>>

\* ... what it did not show is over. Row by row: an acceptor has many.
IsMissed(d) ==
  LET c == row[d].connection IN
  Has("missed") /\ row[d].online /\ links[c].acceptor \in handed /\ c \notin shown

Missed(d) ==
  /\ registrar /\ IsMissed(d)
  /\ Record(d, Over(d))
  /\ UNCHANGED <<truth, node, streams, memory, flight, subscribers, faults>>

\* Rule 5: the rows of an ended acceptor go offline one by one, each only while it names it, ...
IsOrphan(d) ==
  LET mayEnd == IF Has("exitNamed") THEN {row[d].connection}
                ELSE {c \in Connections : links[c].device = d} IN
  Has("exitRows") /\ row[d].online /\ \E c \in mayEnd : links[c].acceptor \in sweeping

AcceptorEnded(d) ==
  /\ registrar /\ IsOrphan(d)
  /\ Record(d, Over(d))
  /\ UNCHANGED <<truth, node, streams, memory, flight, subscribers, faults>>

\* ... until none names it any more. Nobody looks again.
Swept(i) ==
  /\ i \in sweeping /\ \A d \in Devices : ~(IsOrphan(d) /\ links[row[d].connection].acceptor = i)
  /\ sweeping' = sweeping \ {i}
  /\ UNCHANGED <<truth, node, streams, registrar, shown, handed, held, store, flight, subscribers,
                 faults>>

\* A device that was offline for days is forgotten, but not how far any of them had counted. In
\* days all that is under way comes to its end, and whoever has bound a queue has asked as well.
IsQuiet(d) ==
  /\ held[d] = 0
  /\ \A c \in Connections : links[c].device = d => c \notin open /\ untold[c] = "nothing"
  /\ \A i \in Incarnations : \A n \in DOMAIN stream[i] :
       IsChange(stream[i][n]) => links[stream[i][n].connection].device # d
  /\ \A e \in outbox \union flight : e.device # d
  /\ \A s \in Subscribers :
       phase[s] \in {"away", "joined"} /\ \A e \in queue[s] : e.device # d

Forget(d) ==
  /\ registrar /\ row[d] # NoRow /\ ~row[d].online /\ IsQuiet(d) /\ Fault("forget")
  /\ row' = [row EXCEPT ![d] = NoRow]
  /\ floor' = Max(floor, row[d].seq)
  /\ UNCHANGED <<truth, node, streams, memory, outbox, flight, subscribers>>

\* Rule 3: above its bound the presence outbox keeps only the newest event of each device.
Newest(events) ==
  LET IsBetter(e, f) == IF Has("keepNewest") THEN e.seq > f.seq ELSE e.seq < f.seq IN
  {f \in events : ~ \E e \in events : e.device = f.device /\ IsBetter(e, f)}

Compact ==
  /\ registrar /\ Cardinality(outbox) > OutboxMax /\ outbox # Newest(outbox)
  /\ outbox' = Newest(outbox)
  /\ UNCHANGED <<truth, node, streams, memory, row, floor, flight, subscribers, faults>>

-----------------------------------------------------------------------------
(* The broker and the link to it. *)

\* The broker routes an event to the queues that exist.
IsBound(s) == phase[s] \in IF Has("bindFirst") THEN {"bound", "asked", "joined"} ELSE {"joined"}
Routed(e) == [s \in Subscribers |-> IF IsBound(s) THEN queue[s] \union {e} ELSE queue[s]]

\* Only what is in the presence outbox is published: it was committed before. One step for both
\* ends of the link: a publish that the broker never took is one that has not happened yet.
Publish(d, n) ==
  /\ registrar
  /\ \E e \in outbox \ flight :
       /\ e.device = d /\ e.seq = n
       /\ flight' = flight \union {e}
       /\ queue' = Routed(e)
       /\ outbox' = IF Has("confirm") THEN outbox ELSE outbox \ {e}
  /\ UNCHANGED <<truth, node, streams, memory, row, floor, phase, answer, view, faults>>

\* Impossible while all rules hold: an event goes out first and its transaction comes afterwards.
PublishAhead(i) ==
  /\ ~Has("commitFirst") /\ IsNext(i, "up")
  /\ LET c == Head(stream[i]).connection IN
     Takes(c) /\ queue' = Routed(EventOf(links[c].device, Taken(c)))
  /\ UNCHANGED <<truth, node, streams, memory, store, flight, phase, answer, view, faults>>

\* Its confirm arrives, and only now the event leaves the presence outbox.
Confirm(d, n) ==
  /\ \E e \in flight :
       /\ e.device = d /\ e.seq = n
       /\ flight' = flight \ {e}
       /\ outbox' = outbox \ {e}
  /\ UNCHANGED <<truth, node, streams, memory, row, floor, subscribers, faults>>

\* The link breaks, or the broker dies, while an event is on its way there. It never arrives, and
\* confirms are lost: all is published once more.
BrokerLost ==
  /\ registrar /\ Fault("broker")
  /\ \E e \in outbox : outbox' = IF Has("confirm") THEN outbox ELSE outbox \ {e}
  /\ flight' = {}
  /\ UNCHANGED <<truth, node, streams, memory, row, floor, subscribers>>

-----------------------------------------------------------------------------
(* Subscribers keep, per device, the word with the highest seq. *)

Better(word, known) == IF word.seq > known.seq \/ ~Has("highestWins") THEN word ELSE known

Delivered(s, e) == view' = [view EXCEPT ![s][e.device] = Better(WordOf(e), @)]

Deliver(s) ==
  /\ \E e \in queue[s] : Delivered(s, e) /\ queue' = [queue EXCEPT ![s] = @ \ {e}]
  /\ UNCHANGED <<truth, node, streams, memory, store, flight, phase, answer, faults>>

\* Delivered, but its ack is lost: it will come once more.
Redeliver(s) ==
  /\ Fault("redelivery") /\ \E e \in queue[s] : Delivered(s, e)
  /\ UNCHANGED <<truth, node, streams, memory, store, flight, phase, queue, answer>>

\* One that joins late binds its queue, ...
Bind(s) ==
  /\ phase[s] = "away"
  /\ phase' = [phase EXCEPT ![s] = "bound"]
  /\ UNCHANGED <<truth, node, streams, memory, store, flight, queue, answer, view, faults>>

\* ... then queries; the registrar reads the rows ...
Query(s) ==
  /\ phase[s] = "bound" /\ registrar
  /\ phase' = [phase EXCEPT ![s] = "asked"]
  /\ answer' = [answer EXCEPT ![s] = row]
  /\ UNCHANGED <<truth, node, streams, memory, store, flight, queue, view, faults>>

\* ... and the answer, which may be old by now, is merged like any event.
Snapshot(s) ==
  /\ phase[s] = "asked"
  /\ phase' = [phase EXCEPT ![s] = "joined"]
  /\ view' = [view EXCEPT ![s] = [d \in Devices |-> Better(answer[s][d], @[d])]]
  /\ answer' = [answer EXCEPT ![s] = [d \in Devices |-> NoRow]]
  /\ UNCHANGED <<truth, node, streams, memory, store, flight, queue, faults>>

-----------------------------------------------------------------------------
(* All together. *)

\* What the world does to Owsla; nothing of it has to happen.
World ==
  \/ \E i \in AllIncarnations, d \in Devices : Accept(i, d)
  \/ \E c \in AllConnections : End(c)
  \/ \E i \in AllIncarnations : StreamLost(i) \/ AcceptorExit(i) \/ Hold(i)
  \/ RegistrarCrash \/ NodeStart \/ BrokerLost
  \/ \E d \in Devices : Forget(d)
  \/ \E s \in Subscribers : Redeliver(s)

\* What Owsla, the broker and the subscribers do: as long as there is something to do, they do it.
System ==
  \/ AcceptorStart \/ RegistrarStart \/ Compact
  \/ \E i \in AllIncarnations :
       \/ Connect(i) \/ HandOverEnd(i) \/ ExitSeen(i)
       \/ Begin(i) \/ Up(i) \/ Down(i) \/ HandedOver(i) \/ Swept(i) \/ PublishAhead(i)
  \/ \E c \in AllConnections : HandOver(c) \/ WriteUp(c) \/ WriteDown(c) \/ TakeOver(c)
  \/ \E d \in Devices : HeldUp(d) \/ Missed(d) \/ AcceptorEnded(d)
  \/ \E d \in Devices, n \in AllSeqs : Publish(d, n) \/ Confirm(d, n)
  \/ \E s \in Subscribers : Deliver(s) \/ Bind(s) \/ Query(s) \/ Snapshot(s)

Next == World \/ System

Spec == Init /\ [][Next]_vars

\* Of all that the system can do, something happens; that is all the fairness it takes. (A link
\* that is outdone can only be held, never judged: dealing with it is no choice.)
Outdo == \E i \in AllIncarnations :
  IsNext(i, "up") /\ IsOutdone(Head(stream[i]).connection) /\ Hold(i)
FairSpec == Spec /\ WF_vars(System \/ Outdo)

-----------------------------------------------------------------------------
(* What must hold. *)

\* Nothing is under way. (A subscriber that never comes is no reason to wait.)
AtRest ==
  /\ registrar /\ Incarnations \ alive = ended
  /\ \A i \in alive : state[i] = "handed"
  /\ \A i \in Incarnations : stream[i] = <<>>
  /\ \A c \in Connections : untold[c] = "nothing"
  /\ notices = {}
  /\ sweeping = {} /\ \A d \in Devices : held[d] = 0 /\ ~IsMissed(d)
  /\ outbox = {} /\ flight = {}
  /\ \A s \in Subscribers : phase[s] \in {"away", "joined"} /\ queue[s] = {}

LiveLinks(d) == {c \in open : links[c].device = d}

\* A row that was forgotten says nothing more; the last word was "offline".
SameWord(word, r) ==
  /\ word.online = r.online
  /\ word.online => word = r

RowRight(d) == LiveLinks(d) = IF row[d].online THEN {row[d].connection} ELSE {}

AllRight ==
  \A d \in Devices :
    /\ RowRight(d)
    /\ Events => \A s \in Subscribers : phase[s] = "joined" => SameWord(view[s][d], row[d])

\* At rest an online row names the live link, and every subscriber is right.
RightAtRest == AtRest => AllRight

\* A device's newest link is never told to close, only one that has been followed by another.
NewestKept ==
  \A c \in notices : \E other \in Connections : other > c /\ links[other].device = links[c].device

EventsOf(d) ==
  {e \in outbox \union flight \union UNION {queue[s] : s \in Subscribers} : e.device = d}
Words(d) == {WordOf(e) : e \in EventsOf(d)} \union {view[s][d] : s \in Subscribers}

\* Nobody hears what the store does not know, and nobody hears two things under one number.
Recorded ==
  \A d \in Devices : \A word \in Words(d) :
    /\ word.seq <= Max(row[d].seq, floor)
    /\ row[d] # NoRow /\ word.seq = row[d].seq => word = row[d]

\* seq never falls: each change adds to it, and a device that returns starts above what it had.
SeqRises ==
  [][\A d \in Devices : row'[d] # row[d] =>
       \/ row'[d].seq = row[d].seq + 1
       \/ row'[d] = NoRow /\ floor' >= row[d].seq
       \/ row[d] = NoRow /\ row'[d].seq > floor]_vars

\* Once devices stop changing, the truth becomes everybody's last word and stays it.
LastWord == <>[](AllRight /\ \A s \in Subscribers : phase[s] = "joined")

TypeOK ==
  /\ open \subseteq Connections /\ DOMAIN untold = Connections
  /\ alive \subseteq Incarnations /\ ended \subseteq Incarnations \ alive
  /\ notices \subseteq Connections /\ shown \subseteq Connections
  /\ \A d \in Devices : {row[d].connection, held[d]} \subseteq Connections \union {0}
=============================================================================
