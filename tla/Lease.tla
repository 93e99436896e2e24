-------------------------------- MODULE Lease --------------------------------
(***************************************************************************)
(* Several nodes, one store: the lease of each node, as rule 5 has it.     *)
(*                                                                         *)
(*   node 1 (links) --\                    /-- lease of each node          *)
(*   node 2 (links) ---+-- transactions --+--- row of each device          *)
(*                                         \-- notices for each node       *)
(*                                                                         *)
(* A node can be suspected though it is alive (a long pause, a cut network *)
(* to the store), and the nodes' clocks differ. One device is enough: rows *)
(* of different devices never touch. Events are left out: Presence.tla has *)
(* them. No code does this yet; the specification comes first.             *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Nodes,
  Accepts,   \* how many links the device will ever have
  Skew,      \* by how much the clocks may differ, counted in accepts
  Kinds,     \* which faults may happen
  Faults,    \* how many of them, in any mixture
  Without    \* the rule left out, to see what it is good for; or "nothing"

VARIABLES
  \* The links: a larger one was accepted later.
  links,     \* <<[node, stamp], ...>>: who accepted it, and when by that node's clock
  open,      \* the truth

  \* Each node, as it sees itself.
  up,        \* does it run?
  number,    \* its start number, as it believes; 0 when it has none
  pending,   \* changes that are not in the store yet, oldest first
  asserting, \* links that it has to assert again, after it lost its lease

  \* The store.
  lease,     \* per node: [number, valid]
  sweeping,  \* leases that ended and whose rows are on their way offline: [node, number]
  row,       \* [seq, online, connection, node, number]
  notices,   \* links that their nodes have to close
  spoken,    \* notices that were only spoken, not stored (none, while all rules hold)

  faults
vars == <<links, open, up, number, pending, asserting, lease, sweeping, row, notices, spoken,
          faults>>

Has(rule) == Without # rule
Fault(kind) == kind \in Kinds /\ faults < Faults /\ faults' = faults + 1

AllConnections == 1 .. Accepts
LinksOf(n) == {c \in DOMAIN links : links[c].node = n}
HasLease(n) == lease[n].valid /\ lease[n].number = number[n]

Init ==
  /\ links = <<>> /\ open = {}
  /\ up = [n \in Nodes |-> TRUE] /\ number = [n \in Nodes |-> 1]
  /\ pending = [n \in Nodes |-> <<>>] /\ asserting = [n \in Nodes |-> {}]
  /\ lease = [n \in Nodes |-> [number |-> 1, valid |-> TRUE]]
  /\ sweeping = {}
  /\ row = [seq |-> 0, online |-> FALSE, connection |-> 0, node |-> "", number |-> 0]
  /\ notices = {} /\ spoken = {} /\ faults = 0

-----------------------------------------------------------------------------
(* Links. WELCOME waits neither for the store nor for the lease. *)

\* The clocks differ: the stamp is the true time, or up to Skew later.
Accept(n) ==
  /\ up[n] /\ Len(links) < Accepts
  /\ \E late \in 0 .. Skew :
       links' = Append(links, [node |-> n, stamp |-> Len(links) + 1 + late])
  /\ open' = open \union {Len(links')}
  /\ pending' = [pending EXCEPT ![n] = Append(@, [kind |-> "up", connection |-> Len(links')])]
  /\ UNCHANGED <<up, number, asserting, lease, sweeping, row, notices, spoken, faults>>

Closed(c) ==
  /\ open' = open \ {c}
  /\ pending' = [pending EXCEPT ![links[c].node] =
                   Append(@, [kind |-> "down", connection |-> c])]
  /\ asserting' = [asserting EXCEPT ![links[c].node] = @ \ {c}]

End(c) ==
  /\ c \in open /\ Closed(c)
  /\ UNCHANGED <<links, up, number, lease, sweeping, row, notices, spoken, faults>>

\* A notice comes to the node that holds the link; it is crossed out when the link is closed.
TakeOver(c) ==
  /\ c \in notices \union spoken /\ up[links[c].node]
  /\ notices' = notices \ {c} /\ spoken' = spoken \ {c}
  /\ IF c \in open THEN Closed(c) ELSE UNCHANGED <<open, pending, asserting>>
  /\ UNCHANGED <<links, up, number, lease, sweeping, row, faults>>

-----------------------------------------------------------------------------
(* Leases. *)

LeaseEnds(n) ==
  /\ lease[n].valid
  /\ lease' = [lease EXCEPT ![n].valid = FALSE]
  /\ sweeping' = sweeping \union {[node |-> n, number |-> lease[n].number]}
  /\ UNCHANGED <<links, open, up, number, pending, asserting, row, notices, spoken>>

\* The others have not heard of n for too long. It is dead, or alive and well.
Suspect(n) == ~up[n] /\ LeaseEnds(n) /\ UNCHANGED faults
SuspectWrongly(n) == up[n] /\ LeaseEnds(n) /\ Fault("suspicion")

\* Whoever ended the lease takes its rows offline (in chunks, each while it names that start), ...
Sweep ==
  /\ row.online /\ [node |-> row.node, number |-> row.number] \in sweeping
  /\ row' = [row EXCEPT !.seq = @ + 1, !.online = FALSE]
  /\ UNCHANGED <<links, open, up, number, pending, asserting, lease, sweeping, notices, spoken,
                 faults>>

\* ... and is done when no row names it.
SweepEnd ==
  /\ \E s \in sweeping :
       /\ ~(row.online /\ row.node = s.node /\ row.number = s.number)
       /\ sweeping' = sweeping \ {s}
  /\ UNCHANGED <<links, open, up, number, pending, asserting, lease, row, notices, spoken, faults>>

\* A node that lost its lease while alive takes a new start number, and has to assert its links.
\* Those whose up is still pending were never asserted: they go the usual way.
IsPendingUp(n, c) ==
  \E k \in DOMAIN pending[n] : pending[n][k].kind = "up" /\ pending[n][k].connection = c

Renew(n) ==
  /\ up[n] /\ ~lease[n].valid
  /\ lease' = [lease EXCEPT ![n] = [number |-> lease[n].number + 1, valid |-> TRUE]]
  /\ number' = [number EXCEPT ![n] = lease'[n].number]
  /\ asserting' = [asserting EXCEPT ![n] =
                     {c \in LinksOf(n) \intersect open : ~IsPendingUp(n, c)}]
  /\ UNCHANGED <<links, open, up, pending, sweeping, row, notices, spoken, faults>>

\* A node dies, with its links and all that was not in the store yet.
NodeCrash(n) ==
  /\ up[n] /\ Fault("node")
  /\ up' = [up EXCEPT ![n] = FALSE]
  /\ open' = open \ LinksOf(n)
  /\ pending' = [pending EXCEPT ![n] = <<>>]
  /\ asserting' = [asserting EXCEPT ![n] = {}]
  /\ spoken' = {}
  /\ UNCHANGED <<links, number, lease, sweeping, row, notices>>

\* It may come back; the lease of its earlier start is ended first, whoever thought it alive.
NodeStart(n) ==
  /\ ~up[n] /\ ~lease[n].valid
  /\ up' = [up EXCEPT ![n] = TRUE]
  /\ lease' = [lease EXCEPT ![n] = [number |-> lease[n].number + 1, valid |-> TRUE]]
  /\ number' = [number EXCEPT ![n] = lease'[n].number]
  /\ UNCHANGED <<links, open, pending, asserting, sweeping, row, notices, spoken, faults>>

-----------------------------------------------------------------------------
(* Transactions. Each is fenced: it commits only while the writer has its lease. *)

MayWrite(n) == up[n] /\ (HasLease(n) \/ ~Has("fence"))

Later(c) ==
  \/ row.connection = 0
  \/ links[c].stamp > links[row.connection].stamp
  \/ links[c].stamp = links[row.connection].stamp /\ c > row.connection

Named(n, c) == [seq |-> row.seq + 1, online |-> TRUE, connection |-> c, node |-> n,
                number |-> number[n]]

\* The notice is in the same transaction: between nodes no hand-over would show the link again.
Tell(c) == IF Has("storeNotice") THEN notices' = notices \union {c} /\ UNCHANGED spoken
                                 ELSE spoken' = spoken \union {c} /\ UNCHANGED notices
TellNobody == UNCHANGED <<notices, spoken>>

Write(n) ==
  /\ MayWrite(n) /\ pending[n] # <<>>
  /\ pending' = [pending EXCEPT ![n] = Tail(@)]
  /\ LET c == Head(pending[n]).connection IN
     IF Head(pending[n]).kind = "down"
     THEN /\ TellNobody
          /\ row' = IF row.online /\ row.connection = c
                    THEN [row EXCEPT !.seq = @ + 1, !.online = FALSE] ELSE row
     ELSE IF Later(c)
     THEN /\ row' = Named(n, c)
          /\ IF row.online THEN Tell(row.connection) ELSE TellNobody
     ELSE UNCHANGED row /\ Tell(c)
  /\ UNCHANGED <<links, open, up, number, asserting, lease, sweeping, faults>>

\* Only a link that its row still names is asserted again. Any other has lost its device.
Assert(n, c) ==
  /\ MayWrite(n) /\ c \in asserting[n]
  /\ asserting' = [asserting EXCEPT ![n] = @ \ {c}]
  /\ IF row.connection = c \/ ~Has("onlyNamed")
     THEN /\ row' = Named(n, c)
          /\ IF row.online /\ row.connection # c THEN Tell(row.connection) ELSE TellNobody
     ELSE UNCHANGED row /\ Tell(c)
  /\ UNCHANGED <<links, open, up, number, pending, lease, sweeping, faults>>

-----------------------------------------------------------------------------
World ==
  \/ \E n \in Nodes : Accept(n) \/ NodeCrash(n) \/ NodeStart(n)
  \/ \E n \in Nodes : SuspectWrongly(n)
  \/ \E c \in AllConnections : End(c)
System ==
  \/ \E n \in Nodes : Suspect(n) \/ Renew(n) \/ Write(n)
  \/ \E n \in Nodes, c \in AllConnections : Assert(n, c)
  \/ \E c \in AllConnections : TakeOver(c)
  \/ Sweep \/ SweepEnd
Next == World \/ System

Spec == Init /\ [][Next]_vars /\ WF_vars(System)

-----------------------------------------------------------------------------
(* What must hold. *)

AtRest ==
  /\ sweeping = {}
  /\ \A n \in Nodes : IF up[n] THEN HasLease(n) ELSE ~lease[n].valid
  /\ \A n \in Nodes : pending[n] = <<>> /\ asserting[n] = {}
  \* A notice for a node that is down waits for it; its links are closed already.
  /\ \A c \in notices \union spoken : ~up[links[c].node]

RowRight ==
  /\ open = IF row.online THEN {row.connection} ELSE {}
  /\ row.online => row.node = links[row.connection].node /\ row.number = number[row.node]

\* At rest an online row names the one live link, and the start of the node that holds it.
RightAtRest == AtRest => RowRight

\* Never is a link closed in favour of one that was accepted earlier, as far as clocks can tell.
NewestKept == \A c \in notices \union spoken :
  \/ row.connection > c
  \/ links[row.connection].stamp >= links[c].stamp /\ row.connection + Skew >= c

\* Only who has the lease makes its node's name appear in the row.
Fenced == [][row'.online /\ row' # row =>
               LET n == row'.node IN lease[n].valid /\ lease[n].number = row'.number]_vars

SeqRises == [][row' # row => row'.seq = row.seq + 1]_vars

LastWord == <>[]RowRight
=============================================================================
