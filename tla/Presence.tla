------------------------------ MODULE Presence ------------------------------
(***************************************************************************)
(* Who is connected: how the links that acceptors hold become one row per  *)
(* device in the store, and how the rows become every subscriber's last    *)
(* word, while processes die at any moment.                                *)
(*                                                                         *)
(*   acceptors --stream--> registrar --transaction--> store (row, outbox)  *)
(*    |  ^ ^--- notices ---------'                          |              *)
(*    '--'                         subscribers <-- broker <-'              *)
(*   links move                                                            *)
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
  Reloads,    \* how many acceptors get a new one as their successor, to which their links move
  Fewer,      \* how many are too many: links of such a one move to another that runs already
  Damps,      \* may takeovers be put off, as for two boxes that share one id?
  Events,     \* FALSE leaves out all events and subscribers, to look deeper at the rows alone
  Without     \* the rule left out, to see what it is good for; or "nothing"

VARIABLES
  \* Links. A connection id is a place in this sequence, so a larger one was accepted later.
  links,      \* <<[device, acceptor, start, tick], ...>>, of all links ever accepted
  open,       \* those that are open now: the truth about who is connected
  holder,     \* per link: the acceptor that has to tell of it, the last one that read it

  \* Moves. A pair <<i, c>> says what the acceptor i knows of the link c.
  reads,      \* i reads it
  offered,    \* i has offered it to its successor, keeps a copy, and does not read it
  cancelled,  \* i has offered it, and wants it back
  doomed,     \* i has offered it, and closes it when it has it back
  adopted,    \* i has a copy that its predecessor has offered, and does not read it
  given,      \* i has said "go": the link is its successor's. In the docs: the list of moved links
  current,    \* i's copy, or the snapshot on its way to i, has all that was ever read; seen here only
  heir,       \* per incarnation: its successor, or 0
  toHeir,     \* per incarnation: what it says to its successor, through the supervisor, in order
  toPred,     \* per incarnation: what its successor says to it
  bereft,     \* <<j, i>>: j has seen that its predecessor i has ended, and reads what it had of it

  \* The node: a supervisor that starts acceptors and sees them exit.
  start,      \* how often the node was started
  tick,       \* the machine's clock of accepts; a reboot turns it back
  born,       \* incarnations of acceptors so far; they are numbered 1 .. born
  alive,      \* those that run
  ended,      \* those whose exit the supervisor has seen and told the registrar

  \* One stream from each acceptor to the registrar, and notices the other way.
  state,      \* per incarnation: "off", "handing" (over its links), "handed"
  untold,     \* per link, what its acceptor has to tell: "nothing", that it is "owed" by the
              \* hand-over, or has "begun", or "ended"; or "both", see IsMovedIn
  stream,     \* per incarnation: messages told, and not yet dealt with by the registrar
  notices,    \* <<i, c>>: the acceptor i is told to close the link c
  declared,   \* <<j, i>>: on its stream of now, j has told all that it has of i

  \* The registrar's memory.
  registrar,  \* does it run?
  shown,      \* <<i, c>>: it was told of the link c on i's stream of now
  handed,     \* incarnations whose hand-over is complete
  sweeping,   \* ended ones whose rows are on their way offline
  heard,      \* ended ones whose successors have told all that they have of them
  held,       \* per device: [connection, acceptor] of the link that waits with its takeover

  \* The store: survives everything.
  row,        \* per device: [seq, online, connection, acceptor]
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

copies == <<reads, offered, cancelled, doomed, adopted, given, current>>
relay == <<heir, toHeir, toPred, bereft>>
moves == <<holder, copies, relay>>
truth == <<links, open>>
node == <<start, tick, born, alive, ended>>
streams == <<state, untold, stream, notices, declared>>
memory == <<registrar, shown, handed, sweeping, heard, held>>
store == <<row, outbox, floor>>
subscribers == <<phase, queue, answer, view>>
vars == <<truth, moves, node, streams, memory, store, flight, subscribers, faults>>

Has(rule) == Without # rule

Incarnations == 1 .. born
Connections == DOMAIN links

\* All that there can ever be. (A device changes twice for each of its links, at most.)
AllIncarnations == 1 .. Acceptors * (1 + Faults) + Reloads
AllConnections == 1 .. Accepts
AllSeqs == 1 .. 2 * Accepts

Subscribers == Early \union Late
LinksOf(i) == {c \in Connections : holder[c] = i}
PairsOf(i) == {i} \X Connections

\* Whom an event names as acceptor is for the log: subscribers do not go by it.
NoRow == [seq |-> 0, online |-> FALSE, connection |-> 0, acceptor |-> 0]
EventOf(d, r) == [device |-> d, seq |-> r.seq, online |-> r.online, connection |-> r.connection]
WordOf(e) == [seq |-> e.seq, online |-> e.online, connection |-> e.connection]
NoWord == WordOf(NoRow)
NoLink == [connection |-> 0, acceptor |-> 0]

Range(s) == {s[n] : n \in DOMAIN s}
Max(a, b) == IF a > b THEN a ELSE b
Prefixes(messages) == {SubSeq(messages, 1, n) : n \in 0 .. Len(messages)}

-----------------------------------------------------------------------------
(* The beginning: a node with n acceptors, all handed over; nobody is connected. *)

Began(n) ==
  /\ links = <<>> /\ open = {} /\ holder = <<>>
  /\ reads = {} /\ offered = {} /\ cancelled = {} /\ doomed = {} /\ adopted = {} /\ given = {}
  /\ current = {} /\ bereft = {}
  /\ heir = [i \in 1 .. n |-> 0]
  /\ toHeir = [i \in 1 .. n |-> <<>>] /\ toPred = [i \in 1 .. n |-> <<>>]
  /\ start = 1 /\ tick = 0 /\ born = n /\ alive = 1 .. n /\ ended = {}
  /\ state = [i \in 1 .. n |-> "handed"]
  /\ untold = <<>>
  /\ stream = [i \in 1 .. n |-> <<>>]
  /\ notices = {} /\ declared = {}
  /\ registrar = TRUE /\ shown = {} /\ handed = 1 .. n /\ sweeping = {} /\ heard = {}
  /\ held = [d \in Devices |-> NoLink]
  /\ row = [d \in Devices |-> NoRow] /\ outbox = {} /\ floor = 0
  /\ flight = {}
  /\ phase = [s \in Subscribers |-> IF s \in Early THEN "joined" ELSE "away"]
  /\ queue = [s \in Subscribers |-> {}]
  /\ answer = [s \in Subscribers |-> [d \in Devices |-> NoWord]]
  /\ view = [s \in Subscribers |-> [d \in Devices |-> NoWord]]
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
  untold' = [c \in Connections |-> IF holder[c] \in is THEN "nothing" ELSE untold[c]]

\* A link of d begins at the time t. Another link of the same device may still be open.
AcceptAt(i, d, t) ==
  /\ i \in alive
  /\ tick' = t
  /\ links' = Append(links, [device |-> d, acceptor |-> i, start |-> start, tick |-> t])
  /\ open' = open \union {Len(links')}
  /\ holder' = Append(holder, i)
  /\ reads' = reads \union {<<i, Len(links')>>} /\ current' = current \union {<<i, Len(links')>>}
  /\ untold' = Append(untold, IF state[i] = "off" THEN "nothing" ELSE "begun")
  /\ UNCHANGED <<offered, cancelled, doomed, adopted, given, relay, start, born, alive, ended,
                 state, stream, notices, declared, memory, store, flight, subscribers, faults>>

Accept(i, d) == Len(links) < Accepts /\ AcceptAt(i, d, tick + 1)

\* c has come from a predecessor whose row may name it, or will, once the registrar reads what that
\* one has written. So its begin and its end are told whatever was told before, until the predecessor
\* has ended, too.
IsMovedIn(c) ==
  /\ holder[c] # links[c].acceptor /\ Has("endTold")
  /\ \E i \in Incarnations : heir[i] = holder[c] /\ <<holder[c], i>> \notin bereft

\* What is told of the ends of these links. If it was not told that one began, nor is its end.
Untell(cs) ==
  [c \in Connections |->
     IF c \notin cs THEN untold[c]
     ELSE IF state[holder[c]] = "off" THEN "nothing"
     ELSE IF untold[c] = "nothing" THEN "ended"
     ELSE IF untold[c] = "owed" THEN (IF IsMovedIn(c) THEN "both" ELSE "ended")
     ELSE IF IsMovedIn(c) THEN "both" ELSE "nothing"]

\* The endpoint of c is closed, by the acceptor that reads it.
Closed(i, c) ==
  /\ open' = open \ {c}
  /\ reads' = reads \ {<<i, c>>} /\ current' = current \ {<<i, c>>}
  /\ untold' = Untell({c})

\* A link ends, for whatever reason of its own.
End(c) ==
  /\ \E i \in alive : <<i, c>> \in reads /\ Closed(i, c)
  /\ UNCHANGED <<links, holder, offered, cancelled, doomed, adopted, given, relay, node, state,
                 stream, notices, declared, memory, store, flight, subscribers, faults>>

\* What acceptors say to each other; see Moves.
HasHeir(i) == heir[i] # 0 /\ heir[i] \in alive
Says(kind, c) == [kind |-> kind, connection |-> c]
ToHeir(i, kind, c) ==
  toHeir' = IF HasHeir(i) THEN [toHeir EXCEPT ![i] = Append(@, Says(kind, c))] ELSE toHeir

\* A notice arrives: another link is the device's. This one may have ended meanwhile, or have moved:
\* then the registrar will hear of it from where it is. One that is offered has to come back first.
TakeOver(i, c) ==
  /\ <<i, c>> \in notices /\ notices' = notices \ {<<i, c>>}
  /\ IF <<i, c>> \in reads
     THEN Closed(i, c) /\ UNCHANGED <<offered, cancelled, doomed, toHeir>>
     ELSE IF <<i, c>> \in offered /\ Has("noticeKept")
     THEN /\ doomed' = doomed \union {<<i, c>>} /\ cancelled' = cancelled \union {<<i, c>>}
          /\ IF <<i, c>> \in cancelled THEN UNCHANGED toHeir ELSE ToHeir(i, "cancel", c)
          /\ UNCHANGED <<open, offered, reads, current, untold>>
     ELSE UNCHANGED <<open, reads, current, untold, offered, cancelled, doomed, toHeir>>
  /\ UNCHANGED <<links, holder, adopted, given, heir, toPred, bereft, node, state, stream, declared,
                 memory, store, flight, subscribers, faults>>

\* Rule 1: on every connect the acceptor hands over all links that it holds, ...
\* Of an older stream the registrar may have got some more, but not after the newer one began.
IsChange(message) == message.kind \in {"up", "down"}
Leftovers(i) == UNION {{rest, SelectSeq(rest, IsChange)} : rest \in Prefixes(stream[i])}

Connect(i) ==
  /\ i \in alive /\ state[i] = "off" /\ registrar
  /\ state' = [state EXCEPT ![i] = IF Has("handOver") THEN "handing" ELSE "handed"]
  /\ untold' = [c \in Connections |->
       IF holder[c] # i THEN untold[c]
       ELSE IF <<i, c>> \in reads \union offered /\ Has("handOver") THEN "owed"
       ELSE IF c \notin open /\ IsMovedIn(c) THEN "both" ELSE "nothing"]
  /\ declared' = declared \ {<<i, k>> : k \in Incarnations}
  /\ \E rest \in IF Has("newestStream") THEN Leftovers(i) ELSE {stream[i]} :
       stream' = [stream EXCEPT ![i] =
         IF ~Has("handOver") THEN rest
         ELSE IF Has("newestStream") THEN Append(rest, Message("begin", 0))
         ELSE <<Message("begin", 0)>> \o rest]
  /\ UNCHANGED <<truth, moves, node, notices, memory, store, flight, subscribers, faults>>

\* ... one by one, while links go on to come and go, ...
HandOver(c) ==
  /\ c \in Connections /\ untold[c] = "owed"
  /\ untold' = [untold EXCEPT ![c] = "nothing"]
  /\ Told(holder[c], Message("up", c))
  /\ UNCHANGED <<truth, moves, node, state, notices, declared, memory, store, flight, subscribers,
                 faults>>

\* ... and says when that was all: and which links are not over, but its successor's now. (One by
\* one, too; but nothing comes of them before the last.)
HandOverEnd(i) ==
  /\ i \in alive /\ state[i] = "handing"
  /\ \A c \in LinksOf(i) : untold[c] # "owed"
  /\ state' = [state EXCEPT ![i] = "handed"]
  /\ Told(i, [kind |-> "all", connection |-> 0,
              moved |-> IF Has("movedListed") THEN given \intersect PairsOf(i) ELSE {}])
  /\ UNCHANGED <<truth, moves, node, untold, notices, declared, memory, store, flight, subscribers,
                 faults>>

\* A link that began since the connect. The hand-over may come by it and tell it once more.
WriteUp(c) ==
  /\ c \in Connections /\ untold[c] \in {"begun", "both"}
  /\ \E next \in IF untold[c] = "both" THEN {"ended"}
                 ELSE {"nothing"} \union IF state[holder[c]] = "handing" THEN {"owed"} ELSE {} :
       untold' = [untold EXCEPT ![c] = next]
  /\ Told(holder[c], Message("up", c))
  /\ UNCHANGED <<truth, moves, node, state, notices, declared, memory, store, flight, subscribers,
                 faults>>

WriteDown(c) ==
  /\ c \in Connections /\ untold[c] = "ended"
  /\ untold' = [untold EXCEPT ![c] = "nothing"]
  /\ Told(holder[c], Message("down", c))
  /\ UNCHANGED <<truth, moves, node, state, notices, declared, memory, store, flight, subscribers,
                 faults>>

\* The stream breaks, or its acceptor gives it up because the registrar reads too slowly.
StreamLost(i) ==
  /\ i \in alive /\ state[i] # "off" /\ Fault("stream")
  /\ state' = [state EXCEPT ![i] = "off"]
  /\ Untold({i})
  /\ notices' = notices \ PairsOf(i) /\ declared' = declared \ {<<i, k>> : k \in Incarnations}
  /\ UNCHANGED <<truth, moves, node, stream, memory, store, flight, subscribers>>

\* An acceptor dies, and with it the links of which no other process has a copy, nor the supervisor
\* on its way to one. What it wrote last can still be read, by the registrar and by the supervisor,
\* which passes it on, and then says that this was all: "gone".
Dies(i) ==
  LET gone == <<[kind |-> "gone", connection |-> 0]>>
      WithGone(rest) == IF Has("goneLast") THEN rest \o gone ELSE gone \o rest
      Copied(c, pairs) == \E k \in alive' : <<k, c>> \in pairs
      OnItsWay(c, way) == \E p \in Incarnations : \E n \in DOMAIN way[p] :
                            way[p][n].kind = "offer" /\ way[p][n].connection = c
      preds == {p \in alive \ {i} : heir[p] = i}
      Longest == CHOOSE n \in {0} \union {Len(toPred[p]) : p \in preds} :
                   \A p \in preds : Len(toPred[p]) <= n
      Cuts == {f \in [preds -> 0 .. Longest] : \A p \in preds : f[p] <= Len(toPred[p])}
  IN
  /\ i \in alive /\ alive' = alive \ {i}
  /\ reads' = reads \ PairsOf(i) /\ offered' = offered \ PairsOf(i)
  /\ cancelled' = cancelled \ PairsOf(i) /\ doomed' = doomed \ PairsOf(i)
  /\ adopted' = adopted \ PairsOf(i) /\ given' = given \ PairsOf(i)
  /\ current' = current \ PairsOf(i)
  /\ \E rest \in Prefixes(toHeir[i]) :
       toHeir' = [p \in Incarnations |->
         IF p = i THEN (IF heir[i] \in alive THEN WithGone(rest) ELSE <<>>)
         ELSE IF heir[p] = i THEN <<>> ELSE toHeir[p]]
  /\ \E cut \in Cuts :
       toPred' = [p \in Incarnations |->
         IF p \in preds THEN WithGone(SubSeq(toPred[p], 1, cut[p]))
         ELSE IF p = i THEN <<>> ELSE toPred[p]]
  /\ open' = {c \in open : Copied(c, reads' \union offered' \union adopted') \/ OnItsWay(c, toHeir')}
  /\ state' = [state EXCEPT ![i] = "off"]
  /\ Untold({i})
  /\ notices' = notices \ PairsOf(i) /\ declared' = declared \ {<<i, k>> : k \in Incarnations}
  /\ UNCHANGED <<links, holder, heir, bereft, start, tick, born, ended, stream, memory, store,
                 flight, subscribers>>

AcceptorExit(i) == Fault("acceptor") /\ Dies(i)

-----------------------------------------------------------------------------
(* The supervisor. *)

\* Rule 5: an end is seen, not guessed from silence, and what is left of the stream is ignored.
ExitSeen(i) ==
  /\ i \in Incarnations \ ended /\ registrar
  /\ IF Has("exitSeen") THEN i \notin alive ELSE state[i] = "off"
  /\ ended' = ended \union {i} /\ sweeping' = sweeping \union {i}
  /\ stream' = IF Has("ignoreRest") THEN [stream EXCEPT ![i] = <<>>] ELSE stream
  /\ held' = [d \in Devices |-> IF held[d].acceptor = i THEN NoLink ELSE held[d]]
  /\ UNCHANGED <<truth, moves, start, tick, born, alive, state, untold, notices, declared, registrar,
                 shown, handed, heard, store, flight, subscribers, faults>>

\* A new incarnation; its number is never used again.
Born ==
  /\ born' = born + 1
  /\ alive' = alive \union {born'}
  /\ state' = Append(state, "off")
  /\ stream' = Append(stream, <<>>)
  /\ toHeir' = Append(toHeir, <<>>) /\ toPred' = Append(toPred, <<>>)
  /\ UNCHANGED <<truth, holder, copies, bereft, start, tick, ended, untold, notices, declared,
                 memory, store, flight, subscribers, faults>>

AcceptorStart ==
  /\ Cardinality({i \in alive : ~HasHeir(i)}) < Acceptors - Fewer
  /\ Born /\ heir' = Append(heir, 0)

\* One that follows another gives nothing away before that one's end was seen.
IsFollowing(i) == \E p \in alive : heir[p] = i

\* A reload: i gets a successor. The registrar knows of it before either of them can end.
SuccessorStart(i) ==
  /\ i \in alive /\ heir[i] = 0 /\ ~IsFollowing(i)
  /\ Cardinality({k \in Incarnations : heir[k] # 0}) < Reloads
  /\ Born /\ heir' = Append([heir EXCEPT ![i] = born'], 0)

\* There are to be fewer: links of i move to j, which has links of its own, and perhaps those of other
\* predecessors. (Of several that share what i has, each link is offered to one. Here that is j.)
Join(i, j) ==
  /\ Fewer > 0 /\ i \in alive /\ j \in alive \ {i} /\ heir[i] = 0 /\ heir[j] = 0
  /\ ~IsFollowing(i)
  /\ i < j \/ ~Has("heirLater")
  /\ heir' = [heir EXCEPT ![i] = j]
  /\ UNCHANGED <<truth, holder, copies, toHeir, toPred, bereft, node, streams, memory, store, flight,
                 subscribers, faults>>

\* The registrar's memory is lost, and with it its streams and its link to the broker.
RegistrarLost ==
  /\ registrar' = FALSE /\ shown' = {} /\ handed' = {} /\ sweeping' = {} /\ heard' = {}
  /\ held' = [d \in Devices |-> NoLink]
  /\ state' = [i \in Incarnations |-> "off"]
  /\ stream' = [i \in Incarnations |-> <<>>]
  /\ Untold(Incarnations)
  /\ notices' = {} /\ declared' = {}
  /\ flight' = {}
  /\ outbox' = IF Has("outbox") THEN outbox ELSE {}

RegistrarCrash ==
  /\ registrar /\ Fault("registrar") /\ RegistrarLost
  /\ UNCHANGED <<truth, moves, node, row, floor, subscribers>>

\* It looks for what an earlier one did not get done.
RegistrarStart ==
  /\ ~registrar /\ registrar' = TRUE
  /\ sweeping' =
       {i \in ended : \E d \in Devices : row[d].online /\ row[d].acceptor = i}
  /\ UNCHANGED <<truth, moves, node, streams, shown, handed, heard, held, store, flight, subscribers,
                 faults>>

\* Everything dies at once and is started again, perhaps after a reboot. All that ran is over.
NodeStart ==
  /\ Fault("node") /\ RegistrarLost
  /\ open' = {} /\ alive' = {} /\ ended' = Incarnations
  /\ reads' = {} /\ offered' = {} /\ cancelled' = {} /\ doomed' = {} /\ adopted' = {} /\ given' = {}
  /\ current' = {} /\ bereft' = {}
  /\ toHeir' = [i \in Incarnations |-> <<>>] /\ toPred' = [i \in Incarnations |-> <<>>]
  /\ start' = start + 1 /\ tick' = 0
  /\ UNCHANGED <<links, holder, heir, born, row, floor, subscribers>>

-----------------------------------------------------------------------------
(* Moves. An acceptor i that is being replaced gives each link c to its successor j = heir[i]:     *)
(*                                                                                                 *)
(*   i: reads --offer--> offered --(ready comes)--go--> given                                      *)
(*                          |--cancel--> cancelled --(dropped comes)--> reads                      *)
(*   j:       (offer comes)--ready--> adopted --(go comes)--> reads                                *)
(*                                       |--(cancel comes)--dropped--> nothing                     *)
(*                                                                                                 *)
(* The supervisor passes on what they say, handles included, in order; when one has ended, it says *)
(* "gone" to the other, after all that came from the ended one.                                    *)

FromPred(i) == Head(toHeir[i])
FromHeir(i) == Head(toPred[i])
PredSays(i, kind) ==
  i \in Incarnations /\ toHeir[i] # <<>> /\ FromPred(i).kind = kind /\ heir[i] \in alive
HeirSays(i, kind) == i \in alive /\ toPred[i] # <<>> /\ FromHeir(i).kind = kind

\* k reads these links from now on; if others have read on since its copy was made, it has lost that.
Reading(k, cs) ==
  /\ reads' = reads \union ({k} \X cs)
  /\ current' = {pair \in current : pair[2] \notin cs} \union (current \intersect ({k} \X cs))

MovesOnly == UNCHANGED <<node, state, stream, notices, declared, memory, store, flight, subscribers>>

\* A link that is quiet: i stops reading it, and sends its handle, with all that it knows of it. It
\* keeps its own copy.
Offer(i, c) ==
  /\ i \in alive /\ heir[i] # 0 /\ <<i, c>> \in reads
  /\ reads' = IF Has("stopFirst") THEN reads \ {<<i, c>>} ELSE reads
  /\ offered' = offered \union {<<i, c>>}
  /\ current' = IF Has("stopFirst") THEN current \union {<<heir[i], c>>} ELSE current
  /\ ToHeir(i, "offer", c)
  /\ UNCHANGED <<truth, holder, cancelled, doomed, adopted, given, heir, toPred, bereft, untold,
                 faults>>
  /\ MovesOnly

\* The successor makes an endpoint of it, which does not read yet.
Adopt(i) ==
  /\ PredSays(i, "offer")
  /\ LET j == heir[i]  c == FromPred(i).connection IN
     /\ adopted' = adopted \union {<<j, c>>}
     /\ IF Has("goFirst") THEN UNCHANGED <<reads, current>> ELSE Reading(j, {c})
     /\ toPred' = IF i \in alive THEN [toPred EXCEPT ![i] = Append(@, Says("ready", c))] ELSE toPred
  /\ toHeir' = [toHeir EXCEPT ![i] = Tail(@)]
  /\ UNCHANGED <<truth, holder, offered, cancelled, doomed, given, heir, bereft, untold, faults>>
  /\ MovesOnly

\* Or it cannot: it does not understand the snapshot, or has no room.
Refuse(i) ==
  /\ PredSays(i, "offer") /\ Fault("refuse")
  /\ LET c == FromPred(i).connection IN
     /\ toPred' = IF i \in alive THEN [toPred EXCEPT ![i] = Append(@, Says("dropped", c))] ELSE toPred
     /\ open' = IF i \in alive THEN open ELSE open \ {c}
     /\ current' = current \ {<<heir[i], c>>}
  /\ toHeir' = [toHeir EXCEPT ![i] = Tail(@)]
  /\ UNCHANGED <<links, holder, reads, offered, cancelled, doomed, adopted, given, heir, bereft, untold>>
  /\ MovesOnly

\* The predecessor closes its copy and says "go". From here on it has nothing to do with the link, but
\* that it lists it as moved; nothing takes that back. If it wants the link back, "ready" is too late.
\* (If the successor has ended and that is not known here yet, the link ends with this copy.)
Go(i) ==
  /\ HeirSays(i, "ready")
  /\ LET c == FromHeir(i).connection IN
     IF <<i, c>> \in cancelled \/ <<i, c>> \notin offered
     THEN UNCHANGED <<open, offered, given, reads, toHeir, untold>>
     ELSE /\ offered' = offered \ {<<i, c>>}
          /\ given' = given \union {<<i, c>>}
          /\ reads' = IF Has("noWayBack") THEN reads \ {<<i, c>>} ELSE reads \union {<<i, c>>}
          /\ ToHeir(i, "go", c)
          /\ open' = IF HasHeir(i) THEN open ELSE open \ {c}
          /\ untold' = [untold EXCEPT ![c] = "nothing"]
  /\ toPred' = [toPred EXCEPT ![i] = Tail(@)]
  /\ UNCHANGED <<links, holder, cancelled, doomed, adopted, current, heir, bereft, faults>>
  /\ MovesOnly

\* The successor reads them: links of its own, which it has to tell of like any that begins.
TakesOver(j, cs) ==
  /\ adopted' = adopted \ ({j} \X cs)
  /\ Reading(j, cs)
  /\ holder' = [c \in Connections |-> IF c \in cs THEN j ELSE holder[c]]
  /\ untold' = [c \in Connections |->
       IF c \notin cs THEN untold[c]
       ELSE IF state[j] = "off" \/ ~Has("tellMoved") THEN "nothing" ELSE "begun"]

TakeGo(i) ==
  /\ PredSays(i, "go")
  /\ TakesOver(heir[i], {c \in {FromPred(i).connection} : <<heir[i], c>> \in adopted})
  /\ toHeir' = [toHeir EXCEPT ![i] = Tail(@)]
  /\ UNCHANGED <<truth, offered, cancelled, doomed, given, heir, toPred, bereft, faults>>
  /\ MovesOnly

\* The predecessor wants a link back that is offered: it took too long, or has to be closed. It reads
\* on only when its successor says that it has dropped it: that one could read on by mistake, if this
\* one died, and had read meanwhile.
Returned(i, cs) ==
  LET closes == {c \in cs : <<i, c>> \in doomed}
      back == cs \ closes
  IN
  /\ offered' = offered \ ({i} \X cs) /\ cancelled' = cancelled \ ({i} \X cs)
  /\ doomed' = doomed \ ({i} \X cs)
  /\ Reading(i, back)
  /\ open' = open \ closes

Cancel(i, c) ==
  /\ i \in alive /\ <<i, c>> \in offered \ cancelled /\ Fault("cancel")
  /\ ToHeir(i, "cancel", c)
  /\ IF Has("dropFirst")
     THEN /\ cancelled' = cancelled \union {<<i, c>>}
          /\ UNCHANGED <<open, reads, current, offered, doomed, untold>>
     ELSE Returned(i, {c}) /\ UNCHANGED untold
  /\ UNCHANGED <<links, holder, adopted, given, heir, toPred, bereft>>
  /\ MovesOnly

\* If the predecessor has ended meanwhile, this was the last copy, and the link is over.
Drop(i) ==
  /\ PredSays(i, "cancel")
  /\ LET j == heir[i]  c == FromPred(i).connection IN
     /\ adopted' = adopted \ {<<j, c>>} /\ current' = current \ {<<j, c>>}
     /\ open' = IF i \in alive \/ <<j, c>> \notin adopted THEN open ELSE open \ {c}
     /\ toPred' = IF i \in alive THEN [toPred EXCEPT ![i] = Append(@, Says("dropped", c))] ELSE toPred
  /\ toHeir' = [toHeir EXCEPT ![i] = Tail(@)]
  /\ UNCHANGED <<links, holder, reads, offered, cancelled, doomed, given, heir, bereft, untold, faults>>
  /\ MovesOnly

ReadOn(i) ==
  /\ HeirSays(i, "dropped")
  /\ LET cs == {c \in {FromHeir(i).connection} : <<i, c>> \in offered} IN
     /\ Returned(i, cs)
     /\ untold' = Untell({c \in cs : <<i, c>> \in doomed})
  /\ toPred' = [toPred EXCEPT ![i] = Tail(@)]
  /\ UNCHANGED <<links, holder, adopted, given, heir, toHeir, bereft, faults>>
  /\ MovesOnly

\* The successor has ended. What is only offered, its predecessor reads on. What was given is over, and
\* only the predecessor can say so where the successor had not told of it yet.
SuccessorGone(i) ==
  /\ HeirSays(i, "gone")
  /\ LET back == {c \in Connections : <<i, c>> \in offered /\ Has("backAtGone")}
         closes == {c \in back : <<i, c>> \in doomed}
         lost == {c \in Connections : <<i, c>> \in given /\ Has("movedOver")}
     IN
     /\ Returned(i, back)
     /\ given' = given \ PairsOf(i)
     /\ holder' = [c \in Connections |-> IF c \in lost THEN i ELSE holder[c]]
     /\ untold' = [c \in Connections |->
          IF c \notin lost THEN Untell(closes)[c]
          ELSE IF state[i] = "off" THEN "nothing" ELSE "ended"]
  /\ toPred' = [toPred EXCEPT ![i] = <<>>]
  /\ heir' = [heir EXCEPT ![i] = 0]
  /\ UNCHANGED <<links, adopted, toHeir, bereft, faults>>
  /\ MovesOnly

\* The predecessor has ended. The successor reads all that it has of it. Only an end that was seen
\* counts: a predecessor that is silent may still read on.
PredecessorGone(i) ==
  /\ PredSays(i, "gone")
  /\ LET j == heir[i] IN
     /\ IF Has("goneReads")
        THEN TakesOver(j, {c \in LinksOf(i) : <<j, c>> \in adopted})
        ELSE UNCHANGED <<adopted, reads, current, holder, untold>>
     /\ bereft' = bereft \union {<<j, i>>}
  /\ toHeir' = [toHeir EXCEPT ![i] = Tail(@)]
  /\ UNCHANGED <<truth, offered, cancelled, doomed, given, heir, toPred, faults>>
  /\ MovesOnly

\* Mutants only.
Impatient(i, c) ==
  /\ ~Has("goneSeen") /\ i \in Incarnations /\ heir[i] \in alive /\ <<heir[i], c>> \in adopted
  /\ TakesOver(heir[i], {c})
  /\ UNCHANGED <<truth, offered, cancelled, doomed, given, relay, faults>>
  /\ MovesOnly

\* The predecessor has no link left: it ends. What it had still to say is lost, as with a crash.
Retire(i) ==
  /\ i \in alive /\ HasHeir(i) /\ \A c \in Connections : <<i, c>> \notin reads \union offered
  /\ Dies(i) /\ UNCHANGED faults

\* On each of its streams the successor says, once it has told all its links, that this was all of i's.
\* Not while one that it gave on itself is not on record: that may be one of i's, and not told since.
TellHeir(j, i) ==
  /\ <<j, i>> \in bereft \ declared /\ j \in alive /\ state[j] = "handed"
  /\ Has("heirLast") => \A c \in LinksOf(j) : untold[c] = "nothing"
  /\ Has("heirKeeps") => \A c \in Connections : <<j, c>> \notin given
  /\ declared' = declared \union {<<j, i>>}
  /\ Told(j, [kind |-> "heir", connection |-> 0, of |-> i])
  /\ UNCHANGED <<truth, moves, node, state, untold, notices, memory, store, flight, subscribers, faults>>

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
Taken(i, c) ==
  LET d == links[c].device IN
  [seq |-> IF row[d].online /\ ~Has("countAll") THEN row[d].seq ELSE NextSeq(d),
   online |-> TRUE, connection |-> c, acceptor |-> i]
Over(d) == [row[d] EXCEPT !.seq = NextSeq(d), !.online = FALSE]

IsNext(i, kind) ==
  registrar /\ i \in Incarnations /\ stream[i] # <<>> /\ Head(stream[i]).kind = kind
Read(i) == stream' = [stream EXCEPT ![i] = Tail(@)]

\* Rule 4: only an acceptor with a stream can be told; any other one will hand over its links.
Notice(i, c) == IF c = 0 \/ state[i] = "off" THEN {} ELSE {<<i, c>>}

\* A link has moved when a later acceptor than the row's tells of it: the row names that one from now
\* on, under the same seq, and nobody is told. What an earlier one says of it is old.
Moved(i, c) ==
  LET d == links[c].device IN
  IF Has("upMoves") /\ (i > row[d].acceptor \/ ~Has("laterHolder"))
  THEN row' = [row EXCEPT ![d].acceptor = i] /\ UNCHANGED <<outbox, floor>>
  ELSE UNCHANGED store

\* The latest accept takes the row, and the loser is told, whichever of the two it is.
Judge(i, c, others) ==
  LET d == links[c].device
      displaced == IF row[d].online /\ Has("takeOver")
                   THEN Notice(row[d].acceptor, row[d].connection) ELSE {}
      loser == IF Has("closeLoser") THEN Notice(i, c) ELSE {}
  IN CASE IsKnown(c) -> notices' = notices \union others /\ Moved(i, c)
       [] Takes(c) -> notices' = notices \union others \union displaced /\ Record(d, Taken(i, c))
       [] OTHER -> notices' = notices \union others \union loser /\ UNCHANGED store

\* A link that waits with its takeover, if it is not c; and does c come too late even for that?
Waiting(c) == LET h == held[links[c].device] IN IF h.connection = c THEN NoLink ELSE h
IsOutdone(c) == Waiting(c) # NoLink /\ ~Later(c, Waiting(c).connection)
NoticeWaiting(c) == Notice(Waiting(c).acceptor, Waiting(c).connection)

\* The latest acceptor that told of c, when i does. (A link that waits may move, too.)
TellerOf(i, c) ==
  LET h == held[links[c].device] IN IF h.connection = c THEN Max(i, h.acceptor) ELSE i

Up(i) ==
  /\ IsNext(i, "up") /\ Read(i)
  /\ LET c == Head(stream[i]).connection IN
     /\ ~IsOutdone(c)
     /\ shown' = shown \union {<<i, c>>}
     /\ held' = [held EXCEPT ![links[c].device] = NoLink]
     /\ Judge(TellerOf(i, c), c, NoticeWaiting(c))
  /\ UNCHANGED <<truth, moves, node, state, untold, declared, registrar, handed, sweeping, heard,
                 flight, subscribers, faults>>

\* A device whose links take over from each other again and again is damped: its newest link has
\* to wait, open, and the row still names the older one.
Hold(i) ==
  /\ Damps /\ IsNext(i, "up") /\ Read(i)
  /\ LET c == Head(stream[i]).connection
         d == links[c].device
     IN
     /\ shown' = shown \union {<<i, c>>}
     /\ IF IsOutdone(c)
        THEN notices' = notices \union Notice(i, c) /\ UNCHANGED held
        ELSE /\ Takes(c) /\ row[d].online
             /\ notices' = notices \union NoticeWaiting(c)
             /\ held' = [held EXCEPT ![d] = [connection |-> c, acceptor |-> TellerOf(i, c)]]
  /\ UNCHANGED <<truth, moves, node, state, untold, declared, registrar, handed, sweeping, heard,
                 store, flight, subscribers, faults>>

\* Its time has come, or the row went offline.
HeldUp(d) ==
  /\ registrar /\ held[d] # NoLink
  /\ held' = [held EXCEPT ![d] = NoLink]
  /\ Judge(held[d].acceptor, held[d].connection, {})
  /\ UNCHANGED <<truth, moves, node, state, untold, stream, declared, registrar, shown, handed,
                 sweeping, heard, flight, subscribers, faults>>

\* down(c) applies only while the row names c.
Down(i) ==
  /\ IsNext(i, "down") /\ Read(i)
  /\ LET c == Head(stream[i]).connection
         d == links[c].device
     IN
     /\ held' = IF held[d].connection = c THEN [held EXCEPT ![d] = NoLink] ELSE held
     /\ IF row[d].online /\ (row[d].connection = c \/ ~Has("downNamed"))
        THEN Record(d, Over(d)) ELSE UNCHANGED store
  /\ UNCHANGED <<truth, moves, node, state, untold, notices, declared, registrar, shown, handed,
                 sweeping, heard, flight, subscribers, faults>>

\* Rule 1: a newer stream begins; what the one before had shown counts no more.
Begin(i) ==
  /\ IsNext(i, "begin") /\ Read(i)
  /\ shown' = shown \ PairsOf(i)
  /\ handed' = handed \ {i}
  /\ UNCHANGED <<truth, moves, node, state, untold, notices, declared, registrar, sweeping, heard,
                 held, store, flight, subscribers, faults>>

\* The hand-over is complete; ...
HandedOver(i) ==
  /\ IsNext(i, "all") /\ Read(i)
  /\ handed' = handed \union {i}
  /\ LET moved == Head(stream[i]).moved
         isPassed(d) == ~Has("ownWord") /\ <<i, row[d].connection>> \in moved
     IN
     /\ shown' = shown \union moved
     \* Mutants only: the row names the successor because its predecessor says so.
     /\ row' = [d \in Devices |->
          IF isPassed(d) /\ row[d].acceptor = i THEN [row[d] EXCEPT !.acceptor = heir[i]] ELSE row[d]]
  /\ held' = [d \in Devices |->
       IF held[d].acceptor = i /\ <<i, held[d].connection>> \notin shown' THEN NoLink ELSE held[d]]
  /\ UNCHANGED <<truth, moves, node, state, untold, notices, declared, registrar, sweeping, heard,
                 outbox, floor, flight, subscribers, faults>>

\* ... what it did not show is over. Row by row: an acceptor has many.
IsMissed(d) ==
  LET i == row[d].acceptor IN
  Has("missed") /\ row[d].online /\ i \in handed /\ <<i, row[d].connection>> \notin shown

Missed(d) ==
  /\ registrar /\ IsMissed(d)
  /\ Record(d, Over(d))
  /\ UNCHANGED <<truth, moves, node, streams, memory, flight, subscribers, faults>>

\* Some of its links may be its successor's by now, or on their way there. So nothing is done before
\* that one has told all that it has of it (or has ended, too).
RECURSIVE MaySweep(_)
MaySweep(i) ==
  \/ heir[i] = 0 \/ i \in heard \/ ~Has("waitHeir")
  \/ heir[i] \in ended /\ MaySweep(heir[i])

Heir(j) ==
  /\ IsNext(j, "heir") /\ Read(j)
  /\ heard' = heard \union {Head(stream[j]).of}
  /\ UNCHANGED <<truth, moves, node, state, untold, notices, declared, registrar, shown, handed,
                 sweeping, held, store, flight, subscribers, faults>>

\* The registrar has read of c from a later acceptor, and tells the predecessor, which lists it no more.
\* (One step for both: nothing that happens in between makes a difference.)
TellRecorded(i, c) ==
  /\ registrar /\ <<i, c>> \in given /\ state[i] # "off"
  /\ \E k \in Incarnations : k > i /\ <<k, c>> \in shown
  /\ LET r == row[links[c].device] IN ~(r.connection = c /\ r.acceptor = i)
  /\ given' = given \ {<<i, c>>}
  /\ UNCHANGED <<truth, holder, reads, offered, cancelled, doomed, adopted, current, relay, node,
                 streams, memory, store, flight, subscribers, faults>>

\* Rule 5: the rows of an ended acceptor go offline one by one, each only while it names it, ...
IsOrphan(d) ==
  LET of == IF Has("exitNamed") THEN {row[d].acceptor}
            ELSE {holder[c] : c \in {c \in Connections : links[c].device = d}} IN
  Has("exitRows") /\ row[d].online /\ \E i \in of : i \in sweeping /\ MaySweep(i)

AcceptorEnded(d) ==
  /\ registrar /\ IsOrphan(d)
  /\ Record(d, Over(d))
  /\ UNCHANGED <<truth, moves, node, streams, memory, flight, subscribers, faults>>

\* ... until none names it any more. Nobody looks again.
Swept(i) ==
  /\ i \in sweeping /\ MaySweep(i)
  /\ \A d \in Devices : ~(IsOrphan(d) /\ row[d].acceptor = i)
  /\ sweeping' = sweeping \ {i}
  /\ UNCHANGED <<truth, moves, node, streams, registrar, shown, handed, heard, held, store, flight,
                 subscribers, faults>>

\* A device that was offline for days is forgotten, but not how far any of them had counted. In
\* days all that is under way comes to its end, and whoever has bound a queue has asked as well.
IsQuiet(d) ==
  /\ held[d] = NoLink
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
  /\ UNCHANGED <<truth, moves, node, streams, memory, outbox, flight, subscribers>>

\* Rule 3: above its bound the presence outbox keeps only the newest event of each device.
Newest(events) ==
  LET IsBetter(e, f) == IF Has("keepNewest") THEN e.seq > f.seq ELSE e.seq < f.seq IN
  {f \in events : ~ \E e \in events : e.device = f.device /\ IsBetter(e, f)}

Compact ==
  /\ registrar /\ Cardinality(outbox) > OutboxMax /\ outbox # Newest(outbox)
  /\ outbox' = Newest(outbox)
  /\ UNCHANGED <<truth, moves, node, streams, memory, row, floor, flight, subscribers, faults>>

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
  /\ UNCHANGED <<truth, moves, node, streams, memory, row, floor, phase, answer, view, faults>>

\* Impossible while all rules hold: an event goes out first and its transaction comes afterwards.
PublishAhead(i) ==
  /\ ~Has("commitFirst") /\ IsNext(i, "up")
  /\ LET c == Head(stream[i]).connection IN
     Takes(c) /\ queue' = Routed(EventOf(links[c].device, Taken(i, c)))
  /\ UNCHANGED <<truth, moves, node, streams, memory, store, flight, phase, answer, view, faults>>

\* Its confirm arrives, and only now the event leaves the presence outbox.
Confirm(d, n) ==
  /\ \E e \in flight :
       /\ e.device = d /\ e.seq = n
       /\ flight' = flight \ {e}
       /\ outbox' = outbox \ {e}
  /\ UNCHANGED <<truth, moves, node, streams, memory, row, floor, subscribers, faults>>

\* The link breaks, or the broker dies, while an event is on its way there. It never arrives, and
\* confirms are lost: all is published once more.
BrokerLost ==
  /\ registrar /\ Fault("broker")
  /\ \E e \in outbox : outbox' = IF Has("confirm") THEN outbox ELSE outbox \ {e}
  /\ flight' = {}
  /\ UNCHANGED <<truth, moves, node, streams, memory, row, floor, subscribers>>

-----------------------------------------------------------------------------
(* Subscribers keep, per device, the word with the highest seq. *)

Better(word, known) == IF word.seq > known.seq \/ ~Has("highestWins") THEN word ELSE known

Delivered(s, e) == view' = [view EXCEPT ![s][e.device] = Better(WordOf(e), @)]

Deliver(s) ==
  /\ \E e \in queue[s] : Delivered(s, e) /\ queue' = [queue EXCEPT ![s] = @ \ {e}]
  /\ UNCHANGED <<truth, moves, node, streams, memory, store, flight, phase, answer, faults>>

\* Delivered, but its ack is lost: it will come once more.
Redeliver(s) ==
  /\ Fault("redelivery") /\ \E e \in queue[s] : Delivered(s, e)
  /\ UNCHANGED <<truth, moves, node, streams, memory, store, flight, phase, queue, answer>>

\* One that joins late binds its queue, ...
Bind(s) ==
  /\ phase[s] = "away"
  /\ phase' = [phase EXCEPT ![s] = "bound"]
  /\ UNCHANGED <<truth, moves, node, streams, memory, store, flight, queue, answer, view, faults>>

\* ... then queries; the registrar reads the rows ...
Query(s) ==
  /\ phase[s] = "bound" /\ registrar
  /\ phase' = [phase EXCEPT ![s] = "asked"]
  /\ answer' = [answer EXCEPT ![s] = [d \in Devices |-> WordOf(row[d])]]
  /\ UNCHANGED <<truth, moves, node, streams, memory, store, flight, queue, view, faults>>

\* ... and the answer, which may be old by now, is merged like any event.
Snapshot(s) ==
  /\ phase[s] = "asked"
  /\ phase' = [phase EXCEPT ![s] = "joined"]
  /\ view' = [view EXCEPT ![s] = [d \in Devices |-> Better(answer[s][d], @[d])]]
  /\ answer' = [answer EXCEPT ![s] = [d \in Devices |-> NoWord]]
  /\ UNCHANGED <<truth, moves, node, streams, memory, store, flight, queue, faults>>

-----------------------------------------------------------------------------
(* All together. *)

\* What the world does to Owsla; nothing of it has to happen.
World ==
  \/ \E i \in AllIncarnations, d \in Devices : Accept(i, d)
  \/ \E c \in AllConnections : End(c)
  \/ \E i \in AllIncarnations :
       \/ StreamLost(i) \/ AcceptorExit(i) \/ Hold(i)
       \/ SuccessorStart(i) \/ Refuse(i)
       \/ \E j \in AllIncarnations : Join(i, j)
       \/ \E c \in AllConnections : Cancel(i, c) \/ Impatient(i, c)
  \/ RegistrarCrash \/ NodeStart \/ BrokerLost
  \/ \E d \in Devices : Forget(d)
  \/ \E s \in Subscribers : Redeliver(s)

\* What Owsla, the broker and the subscribers do: as long as there is something to do, they do it.
System ==
  \/ AcceptorStart \/ RegistrarStart \/ Compact
  \/ \E i \in AllIncarnations :
       \/ Connect(i) \/ HandOverEnd(i) \/ ExitSeen(i)
       \/ Begin(i) \/ Up(i) \/ Down(i) \/ HandedOver(i) \/ Heir(i) \/ Swept(i) \/ PublishAhead(i)
       \/ Adopt(i) \/ Go(i) \/ TakeGo(i) \/ Drop(i) \/ ReadOn(i)
       \/ SuccessorGone(i) \/ PredecessorGone(i) \/ Retire(i)
       \/ \E j \in AllIncarnations : TellHeir(j, i)
       \/ \E c \in AllConnections : TakeOver(i, c) \/ Offer(i, c) \/ TellRecorded(i, c)
  \/ \E c \in AllConnections : HandOver(c) \/ WriteUp(c) \/ WriteDown(c)
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
  /\ sweeping = {} /\ \A d \in Devices : held[d] = NoLink /\ ~IsMissed(d)
  /\ \A i \in Incarnations : toHeir[i] = <<>> /\ toPred[i] = <<>>
  /\ \A pair \in bereft \ declared : pair[1] \notin alive
  /\ outbox = {} /\ flight = {}
  /\ \A s \in Subscribers : phase[s] \in {"away", "joined"} /\ queue[s] = {}

LiveLinks(d) == {c \in open : links[c].device = d}

\* A row that was forgotten says nothing more; the last word was "offline".
SameWord(word, r) ==
  /\ word.online = r.online
  /\ word.online => word = WordOf(r)

\* An online row names the one live link of its device, and the acceptor that reads it.
RowRight(d) ==
  /\ LiveLinks(d) = IF row[d].online THEN {row[d].connection} ELSE {}
  /\ row[d].online => <<row[d].acceptor, row[d].connection>> \in reads

AllRight ==
  \A d \in Devices :
    /\ RowRight(d)
    /\ Events => \A s \in Subscribers : phase[s] = "joined" => SameWord(view[s][d], row[d])

\* At rest an online row names the live link, and every subscriber is right.
RightAtRest == AtRest => AllRight

\* A device's newest link is never told to close, only one that has been followed by another. (One that
\* is over may be, by what its first acceptor had written before it moved.)
NewestKept ==
  \A pair \in notices : pair[2] \in open => \E other \in Connections :
    other > pair[2] /\ links[other].device = links[pair[2]].device

\* One process reads a link, and one at most counts it as its own: who would say BYE on it, if the
\* supervisor ended now.
ReadersOf(c) == {i \in Incarnations : <<i, c>> \in reads}
OwnersOf(c) == {i \in Incarnations : <<i, c>> \in reads \union offered}
OneReader ==
  \A c \in Connections : Cardinality(ReadersOf(c)) <= 1 /\ Cardinality(OwnersOf(c)) <= 1

\* Who reads a link knows all that was read of it before.
NothingSkipped == reads \subseteq current

\* A link that is open is read, or something is on its way because of which it will be.
IsUnderWay(c) ==
  \E i \in Incarnations : \E m \in Range(toHeir[i]) \union Range(toPred[i]) :
    m.kind = "gone" \/ m.connection = c
NeverHangs == \A c \in open : ReadersOf(c) # {} \/ IsUnderWay(c)

EventsOf(d) ==
  {e \in outbox \union flight \union UNION {queue[s] : s \in Subscribers} : e.device = d}
Words(d) == {WordOf(e) : e \in EventsOf(d)} \union {view[s][d] : s \in Subscribers}

\* Nobody hears what the store does not know, and nobody hears two things under one number.
Recorded ==
  \A d \in Devices : \A word \in Words(d) :
    /\ word.seq <= Max(row[d].seq, floor)
    /\ row[d] # NoRow /\ word.seq = row[d].seq => word = WordOf(row[d])

\* seq never falls: each change adds to it, and a device that returns starts above what it had. A
\* move is no change: seq stays, and there is no event.
SeqRises ==
  [][\A d \in Devices : row'[d] # row[d] =>
       \/ WordOf(row'[d]) = WordOf(row[d]) /\ outbox' = outbox
       \/ row'[d].seq = row[d].seq + 1
       \/ row'[d] = NoRow /\ floor' >= row[d].seq
       \/ row[d] = NoRow /\ row'[d].seq > floor]_vars

\* Once devices stop changing, the truth becomes everybody's last word and stays it.
LastWord == <>[](AllRight /\ (\A c \in open : ReadersOf(c) # {}) /\ \A s \in Subscribers : phase[s] = "joined")

TypeOK ==
  /\ open \subseteq Connections /\ DOMAIN untold = Connections
  /\ alive \subseteq Incarnations /\ ended \subseteq Incarnations \ alive
  /\ notices \union shown \subseteq Incarnations \X Connections
  /\ reads \union offered \union given \subseteq alive \X Connections
  /\ doomed \subseteq cancelled /\ cancelled \subseteq offered
  /\ \A d \in Devices : {row[d].connection, held[d].connection} \subseteq Connections \union {0}
=============================================================================
