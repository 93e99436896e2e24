-------------------------------- MODULE Will --------------------------------
(***************************************************************************)
(* What a device leaves to be published when its link ends without a       *)
(* goodbye: kept with the row, decided by the transaction of the end.      *)
(*                                                                         *)
(*   acceptors (links, wills) --stream--> registrar --> row, wills, outbox *)
(*        ^------- wanted, gone, tell all -------'          '--> broker    *)
(*                                                                         *)
(* One device is enough: wills of different devices never touch. Rows are  *)
(* those of Presence.tla, without events, moves and repeated takeovers.    *)
(* A delay "passes" at any moment: the store counts it, and nobody knows   *)
(* when it looks.                                                          *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Acceptors,  \* the processes that hold links; one that has died stays dead
  Accepts,    \* how many links the device will ever have; a larger one was accepted later
  Delays,     \* may a will have a delay? {FALSE}, {TRUE}, or both
  Rules,      \* whose: "own"; "mqtt", to which a takeover is an end like any other; "none": no will
  Cleans,     \* MQTT's Clean Start: may a device not come back to what it has left?
  Kinds,      \* which faults may happen
  Faults,     \* how many of them, in any mixture
  Without     \* the rule left out, to see what it is good for; or "nothing"

VARIABLES
  \* Links, and what really happened to them.
  links,      \* <<[acceptor, delayed, rules, clean], ...>>
  open,
  said,       \* those whose device has said goodbye
  late,       \* of these, those that a takeover had ended before
  alive,      \* acceptors that run

  \* Streams, and notices the other way.
  state,      \* per acceptor: "off", "handing" (over its links), "handed"
  untold,     \* per link, what its acceptor has to tell: "nothing", "owed", "begun", "ended"
  remembered, \* links that have ended, of which that is not known to be on record
  stream,     \* per acceptor: messages told, and not yet dealt with
  notices,    \* [kind, to, link]: "wanted", "gone", "takeOver"; "tellAll", whose link is 0

  \* The registrar's memory.
  registrar,
  seen,       \* acceptors whose exit it knows of, and has recorded
  shown,      \* links of which it was told on their acceptor's stream of now
  asking,     \* [due, untold]: wills that are due, and who has not told all since; or NotAsking

  \* The store: survives everything.
  row,        \* [online, connection]
  will,       \* per link: "none", "kept", "waits", "out"
  passed,     \* per link: 0, or 1 more than the links that there were when its delay had passed
  outbox,

  published,  \* what the broker has been given
  faults,

  \* For the promises only.
  recorded,   \* links that the row ever named
  known,      \* links whose wills were ever kept
  cancelled,
  wrong       \* wills that went out and should not have: <<link, why>>
vars == <<links, open, said, late, alive, state, untold, remembered, stream, notices, registrar,
          seen, shown, asking, row, will, passed, outbox, published, faults, recorded, known,
          cancelled, wrong>>
truth == <<links, open, said, late, alive>>
told == <<state, untold, remembered, stream, notices>>
memory == <<registrar, seen, shown, asking>>
store == <<row, will, passed, outbox>>
books == <<recorded, known, cancelled, wrong>>

Has(rule) == Without # rule
Fault(kind) == kind \in Kinds /\ faults < Faults /\ faults' = faults + 1

Connections == DOMAIN links
NotAsking == [due |-> {}, untold |-> {}]
HeldBy(c) == links[c].acceptor
LinksOf(i) == {c \in Connections : HeldBy(c) = i}
Leaves(c) == links[c].rules # "none"
Message(kind, c) == [kind |-> kind, connection |-> c]
Notice(kind, i, c) == [kind |-> kind, to |-> i, link |-> c]
\* In every order.
Orders(cs) == {s \in [1 .. Cardinality(cs) -> cs] : \A a, b \in DOMAIN s : a # b => s[a] # s[b]}

\* These acceptors run, and their streams are in this state.
Began(up, stand) ==
  /\ links = <<>> /\ open = {} /\ said = {} /\ late = {} /\ alive = up
  /\ state = [i \in Acceptors |-> stand] /\ untold = <<>> /\ remembered = {}
  /\ stream = [i \in Acceptors |-> <<>>] /\ notices = {}
  /\ registrar = TRUE /\ seen = Acceptors \ up /\ shown = {} /\ asking = NotAsking
  /\ row = [online |-> FALSE, connection |-> 0]
  /\ will = <<>> /\ passed = <<>> /\ outbox = {} /\ published = {} /\ faults = 0
  /\ recorded = {} /\ known = {} /\ cancelled = {} /\ wrong = {}
Init == Began(Acceptors, "handed")

-----------------------------------------------------------------------------
(* Acceptors. *)

Accept(i, delayed, rules, clean) ==
  /\ i \in alive /\ Len(links) < Accepts
  /\ links' = Append(links, [acceptor |-> i, delayed |-> delayed, rules |-> rules, clean |-> clean])
  /\ open' = open \union {Len(links')}
  /\ untold' = Append(untold, IF state[i] = "off" THEN "nothing" ELSE "begun")
  /\ will' = Append(will, "none") /\ passed' = Append(passed, 0)
  /\ UNCHANGED <<said, late, alive, state, remembered, stream, notices, memory, row, outbox, published,
                 faults, books>>

\* Of a link that nobody was told of, nobody is told that it has ended.
Closed(c) ==
  LET isSecret == untold[c] = "begun"
  IN /\ open' = open \ {c}
     /\ remembered' = IF isSecret \/ ~Leaves(c) \/ ~Has("remember") THEN remembered
                      ELSE remembered \union {c}
     /\ untold' = [untold EXCEPT ![c] =
                     IF state[HeldBy(c)] = "off" \/ isSecret THEN "nothing" ELSE "ended"]

End(c) ==
  /\ c \in open /\ Closed(c)
  /\ UNCHANGED <<links, said, late, alive, state, stream, notices, memory, store, published, faults,
                 books>>

SayGoodbye(c) ==
  /\ c \in open /\ Closed(c) /\ said' = said \union {c}
  /\ late' = IF row.connection > c THEN late \union {c} ELSE late
  /\ UNCHANGED <<links, alive, state, stream, notices, memory, store, published, faults, books>>

Tells(i, messages) == stream' = [stream EXCEPT ![i] = @ \o messages]

\* What a registrar before may have read and not recorded stands first.
Connect(i) ==
  LET ends == {c \in remembered : HeldBy(c) = i}
  IN /\ i \in alive /\ registrar /\ state[i] = "off"
     /\ state' = [state EXCEPT ![i] = "handing"]
     /\ \E order \in Orders(ends) :
          stream' = [stream EXCEPT ![i] = [n \in DOMAIN order |-> Message("down", order[n])]]
     /\ untold' = [c \in Connections |->
                     IF HeldBy(c) # i THEN untold[c]
                     ELSE IF c \in open THEN "owed" ELSE "nothing"]
     /\ shown' = shown \ LinksOf(i)
     /\ notices' = {n \in notices : n.to # i}
                     \union (IF i \in asking.untold THEN {Notice("tellAll", i, 0)} ELSE {})
     /\ UNCHANGED <<truth, remembered, registrar, seen, asking, store, published, faults, books>>

\* A hand-over names the will; of a link that has just begun it is told whole.
Write(c) ==
  LET i == HeldBy(c)
      kind == CASE untold[c] = "begun" -> "up" [] untold[c] = "owed" -> "name"
                [] untold[c] = "ended" -> "down"
  IN /\ untold[c] # "nothing" /\ i \in alive
     /\ Tells(i, <<Message(kind, c)>>) /\ untold' = [untold EXCEPT ![c] = "nothing"]
     /\ UNCHANGED <<truth, state, remembered, notices, memory, store, published, faults, books>>

HandOverEnd(i) ==
  /\ i \in alive /\ state[i] = "handing" /\ \A c \in LinksOf(i) : untold[c] \in {"nothing", "begun"}
  /\ Tells(i, <<Message("end", 0)>>) /\ state' = [state EXCEPT ![i] = "handed"]
  /\ UNCHANGED <<truth, untold, remembered, notices, memory, store, published, faults, books>>

HasNotice(kind, i, c) == i \in alive /\ Notice(kind, i, c) \in notices
Read(kind, i, c) == notices' = notices \ {Notice(kind, i, c)}

\* One that is over by then has told its will with its end.
TellWill(i, c) ==
  /\ HasNotice("wanted", i, c) /\ Read("wanted", i, c)
  /\ IF c \in open THEN Tells(i, <<Message("will", c)>>) ELSE UNCHANGED stream
  /\ UNCHANGED <<truth, state, untold, remembered, memory, store, published, faults, books>>

Forget(i, c) ==
  /\ HasNotice("gone", i, c) /\ Read("gone", i, c) /\ remembered' = remembered \ {c}
  /\ UNCHANGED <<truth, state, untold, stream, memory, store, published, faults, books>>

TakeOver(i, c) ==
  /\ HasNotice("takeOver", i, c) /\ Read("takeOver", i, c)
  /\ IF c \in open THEN Closed(c) ELSE UNCHANGED <<open, untold, remembered>>
  /\ UNCHANGED <<links, said, late, alive, state, stream, memory, store, published, faults, books>>

TellAll(i) ==
  /\ HasNotice("tellAll", i, 0) /\ Read("tellAll", i, 0)
  /\ ~Has("toldLast") \/ (state[i] = "handed" /\ \A c \in LinksOf(i) : untold[c] = "nothing")
  /\ Tells(i, <<Message("allTold", 0)>>)
  /\ UNCHANGED <<truth, state, untold, remembered, memory, store, published, faults, books>>

-----------------------------------------------------------------------------
(* What a transaction does to a will: Keep, Wait, Goodbye, Cancel, Due. *)

\* w: the wills as they are after it.
Keep(w, c) == IF w[c] = "none" /\ Leaves(c) THEN [w EXCEPT ![c] = "kept"] ELSE w
Wait(w, c) == [w EXCEPT ![c] = "waits"]
Goodbye(w, c) == [w EXCEPT ![c] = "none"]
Cancel(w, cs) == [c \in Connections |-> IF c \in cs THEN "none" ELSE w[c]]
Out(w, cs) == [c \in Connections |-> IF c \in cs THEN "out" ELSE w[c]]

\* By MQTT's rules: a device that comes back by this link does not come back to what c has left.
EndsAll(c, later) == links[c].rules = "mqtt" /\ (~links[c].delayed \/ links[later].clean)

\* The device was back in time, and nothing has happened to that link.
IsBack(c) ==
  /\ links[c].delayed
  /\ \E later \in open :
       later > c /\ ~EndsAll(c, later) /\ (passed[c] = 0 \/ later < passed[c])

\* These wills go out, and whether they should.
GoOut(cs) ==
  /\ outbox' = outbox \union cs
  /\ wrong' = wrong
       \union {<<c, "twice">> : c \in {d \in cs : will[d] = "out"}}
       \union {<<c, "goodbye">> : c \in {d \in cs : d \in said \ late /\ HeldBy(d) \in alive}}
       \union {<<c, "back">> : c \in {d \in cs : IsBack(d)}}

Stays == UNCHANGED <<outbox, wrong>>

\* The link c of the row has ended, in a way that was seen or not. `brings`: its will was told along.
Ended(c, byGoodbye, brings) ==
  LET w == IF brings THEN Keep(will, c) ELSE will
  IN /\ row' = [row EXCEPT !.online = FALSE]
     /\ known' = IF w[c] = "kept" THEN known \union {c} ELSE known
     /\ IF w[c] # "kept" THEN will' = w /\ Stays
        ELSE IF byGoodbye THEN will' = Goodbye(w, c) /\ Stays
        ELSE IF links[c].delayed THEN will' = Wait(w, c) /\ Stays
        ELSE will' = Out(w, {c}) /\ GoOut({c})
     /\ UNCHANGED <<passed, recorded, cancelled>>

-----------------------------------------------------------------------------
(* The registrar. *)

HasRead(i, kinds) ==
  /\ registrar /\ stream[i] # <<>> /\ i \notin seen /\ Head(stream[i]).kind \in kinds
  /\ stream' = [stream EXCEPT ![i] = Tail(@)]

\* The row names c from now on, whose will may have been told. What earlier links have left:
Begins(c, isWhole) ==
  LET left == {d \in Connections \ {c} : will[d] \in {"kept", "waits"}}
      ends == {d \in left : EndsAll(d, c)}
      dropped == IF Has("cancel") THEN left \ ends ELSE {}
      others == Cancel(will, dropped)
      w == IF isWhole THEN Keep(others, c) ELSE others
      \* What nobody has told yet of an older link is not asked for any more, whatever the rules.
      untoldOf == IF row.online /\ row.connection \notin known THEN {row.connection} ELSE {}
  IN /\ row' = [online |-> TRUE, connection |-> c]
     /\ recorded' = recorded \union {c} /\ cancelled' = cancelled \union dropped \union untoldOf
     /\ IF Has("waitForWord")
        THEN /\ will' = [d \in Connections |-> IF d \in ends THEN "waits" ELSE w[d]]
             /\ passed' = [d \in Connections |->
                             IF d \in ends /\ passed[d] = 0 THEN Len(links) + 1 ELSE passed[d]]
             /\ Stays
        ELSE will' = Out(w, ends) /\ GoOut(ends) /\ UNCHANGED passed

Up(i) ==
  LET c == Head(stream[i]).connection
      isWhole == Head(stream[i]).kind = "up"
      isNew == c > row.connection
      names == isNew \/ (c = row.connection /\ row.online)
      losers == IF isNew THEN (IF row.online THEN {row.connection} ELSE {})
                ELSE IF names THEN {} ELSE {c}
  IN /\ HasRead(i, {"up", "name"})
     /\ shown' = shown \union {c}
     /\ notices' = notices
          \union {Notice("takeOver", HeldBy(d), d) : d \in {e \in losers : state[HeldBy(e)] # "off"}}
          \union (IF names /\ ~isWhole /\ will[c] = "none" /\ Leaves(c) /\ Has("ask")
                  THEN {Notice("wanted", i, c)} ELSE {})
     /\ known' = IF names /\ isWhole /\ Leaves(c) THEN known \union {c} ELSE known
     /\ IF isNew THEN Begins(c, isWhole)
        ELSE /\ will' = IF names /\ isWhole THEN Keep(will, c) ELSE will
             /\ UNCHANGED <<row, passed, recorded, cancelled>> /\ Stays
     /\ UNCHANGED <<truth, state, untold, remembered, registrar, seen, asking, published, faults>>

Down(i) ==
  LET c == Head(stream[i]).connection
  IN /\ HasRead(i, {"down"})
     /\ notices' = IF Leaves(c) THEN notices \union {Notice("gone", i, c)} ELSE notices
     /\ IF row = [online |-> TRUE, connection |-> c] THEN Ended(c, c \in said, Has("endBrings"))
        ELSE /\ will' = IF will[c] = "waits" /\ c \in said THEN Goodbye(will, c) ELSE will
             /\ UNCHANGED <<row, passed, recorded, known, cancelled>> /\ Stays
     /\ UNCHANGED <<truth, state, untold, remembered, memory, published, faults>>

HearWill(i) ==
  LET c == Head(stream[i]).connection
      isOpen == row = [online |-> TRUE, connection |-> c]
  IN /\ HasRead(i, {"will"})
     /\ will' = IF isOpen THEN Keep(will, c) ELSE will
     /\ known' = IF isOpen THEN known \union {c} ELSE known
     /\ UNCHANGED <<truth, state, untold, remembered, notices, memory, row, passed, outbox,
                    published, faults, recorded, cancelled, wrong>>

\* Its hand-over is complete: a link that it did not show has ended.
HandedOver(i) ==
  LET c == row.connection
  IN /\ HasRead(i, {"end"})
     /\ IF row.online /\ HeldBy(c) = i /\ c \notin shown THEN Ended(c, FALSE, FALSE)
        ELSE UNCHANGED <<store, books>>
     /\ UNCHANGED <<truth, state, untold, remembered, notices, memory, published, faults>>

HearAllTold(i) ==
  /\ HasRead(i, {"allTold"}) /\ asking' = [asking EXCEPT !.untold = @ \ {i}]
  /\ UNCHANGED <<truth, state, untold, remembered, notices, registrar, seen, shown, store,
                 published, faults, books>>

\* The supervisor has seen its exit: what its stream still holds is ignored.
ExitSeen(i) ==
  LET c == row.connection
  IN /\ registrar /\ i \notin alive \union seen
     /\ seen' = seen \union {i} /\ stream' = [stream EXCEPT ![i] = <<>>]
     /\ asking' = [asking EXCEPT !.untold = @ \ {i}]
     /\ notices' = {n \in notices : n.to # i}
     /\ IF row.online /\ HeldBy(c) = i THEN Ended(c, FALSE, FALSE) ELSE UNCHANGED <<store, books>>
     /\ UNCHANGED <<truth, state, untold, remembered, registrar, shown, published, faults>>

\* Time, as the store counts it.
Pass(c) ==
  /\ will[c] = "waits" /\ passed[c] = 0
  /\ passed' = [passed EXCEPT ![c] = Len(links) + 1]
  /\ UNCHANGED <<truth, told, memory, row, will, outbox, published, faults, books>>

IsDue(c) == will[c] = "waits" /\ passed[c] > 0
AskFor(due) ==
  LET live == Acceptors \ seen
  IN /\ registrar /\ asking = NotAsking /\ due # {}
     /\ asking' = [due |-> due, untold |-> IF Has("tellAll") THEN live ELSE {}]
     /\ notices' = notices \union
          {Notice("tellAll", i, 0) : i \in {j \in asking'.untold : state[j] # "off"}}
     /\ UNCHANGED <<truth, state, untold, remembered, stream, registrar, seen, shown, store,
                    published, faults, books>>
Ask == AskFor({c \in Connections : IsDue(c)})

\* All have told all that they had: those that still wait go out.
Due ==
  LET due == {c \in asking.due : will[c] = "waits"}
  IN /\ registrar /\ asking # NotAsking /\ asking.untold = {}
     /\ asking' = NotAsking
     /\ will' = Out(will, due) /\ GoOut(due)
     /\ UNCHANGED <<truth, told, registrar, seen, shown, row, passed, published, faults, recorded,
                    known, cancelled>>

Publish(c) ==
  /\ registrar /\ c \in outbox /\ c \notin published /\ published' = published \union {c}
  /\ UNCHANGED <<truth, told, memory, store, faults, books>>

Confirm(c) ==
  /\ registrar /\ c \in outbox \intersect published /\ outbox' = outbox \ {c}
  /\ UNCHANGED <<truth, told, memory, row, will, passed, published, faults, books>>

-----------------------------------------------------------------------------
(* Faults. *)

RegistrarCrash ==
  /\ registrar /\ Fault("registrar") /\ registrar' = FALSE
  /\ seen' = {} /\ shown' = {} /\ asking' = NotAsking /\ notices' = {}
  /\ state' = [i \in Acceptors |-> "off"] /\ stream' = [i \in Acceptors |-> <<>>]
  /\ untold' = [c \in Connections |-> "nothing"]
  /\ outbox' = IF Has("outbox") THEN outbox ELSE {}
  /\ UNCHANGED <<truth, remembered, row, will, passed, published, books>>

RegistrarStart ==
  /\ ~registrar /\ registrar' = TRUE
  /\ UNCHANGED <<truth, told, seen, shown, asking, store, published, faults, books>>

AcceptorExit(i) ==
  /\ i \in alive /\ Fault("acceptor") /\ alive' = alive \ {i} /\ open' = open \ LinksOf(i)
  /\ untold' = [c \in Connections |-> IF HeldBy(c) = i THEN "nothing" ELSE untold[c]]
  /\ remembered' = remembered \ LinksOf(i)
  /\ UNCHANGED <<links, said, late, state, stream, notices, memory, store, published, books>>

Next ==
  \/ \E i \in Acceptors :
       \/ \E delayed \in Delays, rules \in Rules, clean \in Cleans :
            Accept(i, delayed, rules, clean)
       \/ Connect(i) \/ HandOverEnd(i) \/ TellAll(i)
       \/ Up(i) \/ Down(i) \/ HearWill(i) \/ HandedOver(i) \/ HearAllTold(i) \/ ExitSeen(i)
       \/ AcceptorExit(i)
       \/ \E c \in Connections : TellWill(i, c) \/ Forget(i, c) \/ TakeOver(i, c)
  \/ \E c \in Connections :
       End(c) \/ SayGoodbye(c) \/ Write(c) \/ Pass(c) \/ Publish(c) \/ Confirm(c)
  \/ Ask \/ Due \/ RegistrarCrash \/ RegistrarStart

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
(* The promises. *)

\* None twice, none after a goodbye that its acceptor lived to tell, none of a device that was back.
NoneWrong == wrong = {}

AtRest ==
  /\ registrar /\ notices = {} /\ outbox = {} /\ asking = NotAsking
  /\ \A i \in Acceptors : stream[i] = <<>> /\ (i \in alive => state[i] = "handed")
  /\ \A i \in Acceptors \ alive : i \in seen
  /\ \A c \in Connections : untold[c] = "nothing" /\ will[c] # "waits"

\* None lost: of each link that was ever on record and has ended. The will of one that was handed
\* over by name is its acceptor's alone until it has answered.
NoneLost ==
  AtRest => \A c \in recorded \ open :
    \/ ~Leaves(c) \/ c \in published \union cancelled \union said
    \/ HeldBy(c) \notin alive /\ c \notin known

\* The store has the will of each link that is open and on record: no other process has to live on.
NoneForgotten ==
  AtRest => \A c \in open :
    row = [online |-> TRUE, connection |-> c] /\ Leaves(c) => will[c] = "kept"
==============================================================================
