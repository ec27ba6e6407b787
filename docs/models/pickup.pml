/* The pickup saga (edge/pickup/door_states.py, edge/pickup/pickups.py, docs/explanation/pickup.md) under every interleaving of the daemon, the doors,
 * the platform and power cuts. One courier's code with two doors.
 *
 * On disk: what survives a cut. In memory: what does not. Each `atomic` that writes the disk is one transaction.
 * The contacts tell the truth or nothing; a contact that lies is no property of this program.
 *
 * Checked: a lock is told only for an intent that is on disk as `pulsing`, once for each, of a use that stands; and a
 * code is made good again only while all its parcels are inside. `make prove` runs it; by hand:
 *
 *   spin -a pickup.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan
 *
 * -DBELIEVE_A_CLOSED_DOOR is what one would write first, a start that takes a closed door for one that never opened:
 * the check finds the parcel that was taken before the cut.
 */
#define DOORS 2
#define MAXI 8              /* intents of one use: more are not made */
#ifndef SCANS
#define SCANS 3
#endif
#ifndef CUTS
#define CUTS 2
#endif
#define NOBODY 99

mtype = { reserved, pulsing, pulsed, opened, collected, released, unknown };

/* on disk */
mtype state[MAXI];
byte door_of[MAXI];
byte n;                     /* intents of the standing use */
bool use;                   /* a use stands in the ledger */
bool cancelled;
bool told_a_person;         /* an exception is open */

/* the world */
bool open[DOORS], bolt[DOORS], inside[DOORS], blind[DOORS];
bool told[MAXI];            /* the lock was told for this intent: a witness, not a part of the program */

/* in memory */
byte walk = NOBODY;         /* the intent that is the walk's turn, NOBODY: none */
byte asked = NOBODY;        /* the intent that the lock is about to be told for */
bool counted[DOORS];        /* the contact saw an opening since the pulse */
bool starting;              /* a start has read no contact yet */
byte scans, cuts;

#define MY_TURN(s) (!starting && walk != NOBODY && state[walk] == s)
#define ENDED(i) (state[i] == collected || state[i] == released || state[i] == unknown)

/* scratch for the inlines: always 0 outside of them */
byte t, r, s, e;
bool all, live, left, was, any, some_live, some_left;

/* The first intent that has not ended, from `i` on, has the turn. */
inline next_turn() {
    t = 0; walk = NOBODY;
    do
    :: t < n && walk == NOBODY -> if :: !ENDED(t) -> walk = t :: else fi; t++
    :: else -> break
    od; t = 0
}

/* The rest of the walk is released too, and when nothing left the locker, the use is taken back. */
inline release(i) {
    r = 0; all = true;
    state[i] = released;
    do
    :: r < n -> if :: state[r] == reserved -> state[r] = released :: else fi; r++
    :: else -> break
    od;
    r = 0;
    do
    :: r < n -> all = all && (state[r] == released); r++
    :: else -> break
    od;
    if
    :: all ->
        assert(inside[0] && inside[1]);      /* a code is good again only while its parcels are there */
        use = false;
        r = 0;
        do :: r < n -> told[r] = false; state[r] = 0; r++ :: else -> break od;
        n = 0
    :: else
    fi;
    r = 0; all = false
}

inline promise(d) {
    if
    :: n < MAXI -> state[n] = reserved; door_of[n] = d; n++
    :: else
    fi
}

/* What the store knows of a door: is it live, was it only ever released, may it have been opened? */
inline look_at(d) {
    s = 0; live = false; left = true; was = false; any = false;
    do
    :: s < n ->
        if
        :: door_of[s] == d ->
            any = true;
            live = live || !ENDED(s);
            left = left && (state[s] == released);
            was = was || (state[s] == collected || state[s] == unknown)
        :: else
        fi; s++
    :: else -> break
    od;
    s = 0; left = left && any
}

inline scan() {
    some_live = false; some_left = false; e = 0;
    if
    :: cancelled -> skip
    :: !cancelled && !use -> use = true; promise(0); promise(1)
    :: !cancelled && use ->
        do
        :: e < DOORS -> look_at(e); some_live = some_live || live;
            if :: left -> some_left = true; promise(e) :: else fi; e++
        :: else -> break
        od;
        e = 0;
        if
        :: !some_live && !some_left ->       /* within the grace of any subset of them, or of none */
            do
            :: e < DOORS -> look_at(e); if :: was -> promise(e) :: true fi; e++
            :: else -> break
            od
        :: else
        fi
    fi;
    e = 0; live = false; left = false; was = false; any = false; some_live = false; some_left = false;
    if :: walk == NOBODY -> next_turn() :: else fi
}

proctype Daemon() {
    byte i, d;
    do
    /* A start reads every contact once, and tells no lock. */
    :: atomic { starting ->
        i = 0;
        do
        :: i < n ->
            d = door_of[i];
            if
            :: ENDED(i) -> skip
            :: state[i] == reserved && open[d] && !blind[d] -> state[i] = unknown; told_a_person = true
            :: state[i] == reserved && (blind[d] || !open[d]) -> release(i)
            :: (state[i] == pulsing || state[i] == pulsed) && open[d] && !blind[d] -> state[i] = opened
            :: (state[i] == pulsing || state[i] == pulsed) && (blind[d] || !open[d]) ->
#ifdef BELIEVE_A_CLOSED_DOOR
                release(i)
#else
                state[i] = unknown; told_a_person = true
#endif
            :: state[i] == opened && blind[d] -> state[i] = unknown; told_a_person = true
            :: state[i] == opened && !blind[d] && !open[d] -> state[i] = collected
            :: state[i] == opened && !blind[d] && open[d] -> skip
            fi; i++
        :: else -> break
        od;
        i = 0; d = 0; starting = false; next_turn() }

    :: atomic { !starting && scans < SCANS -> scans++; scan() }

    /* the turn of a reserved door: withdrawn meanwhile, or the step to pulsing */
    :: atomic { MY_TURN(reserved) && cancelled -> told_a_person = true; release(walk); next_turn() }
    :: atomic { MY_TURN(reserved) && !cancelled -> counted[door_of[walk]] = false; state[walk] = pulsing; asked = walk };
        /* between the commit and the pulse the power may go: then memory, and with it `asked`, is gone */
        if
        :: atomic { MY_TURN(pulsing) && asked == walk ->
            assert(use && !told[walk]);                     /* law 5: its intent is on disk, and it is told once */
            told[walk] = true; bolt[door_of[walk]] = true; asked = NOBODY };
            if
            :: atomic { MY_TURN(pulsing) && told[walk] -> state[walk] = pulsed }
            :: atomic { starting || walk == NOBODY -> skip }
            fi
        :: atomic { starting || asked == NOBODY -> skip }
        fi

    :: atomic { MY_TURN(pulsed) ->
        d = door_of[walk];
        if
        :: !blind[d] && (open[d] || counted[d]) -> state[walk] = opened
        :: !blind[d] && !open[d] && !counted[d] && !bolt[d] -> told_a_person = true; release(walk); next_turn()
        :: blind[d] && !bolt[d] -> state[walk] = unknown; told_a_person = true; next_turn()
        :: else -> skip
        fi; d = 0 }

    :: atomic { MY_TURN(opened) && !open[door_of[walk]] && !blind[door_of[walk]] -> state[walk] = collected; next_turn() }
    od
}

/* Bolts spring back, people pull doors open, take and shut; contacts break. */
proctype World() {
    byte d;
    do
    :: true -> atomic {
        if :: d = 0 :: d = 1 fi;
        if
        :: bolt[d] && !open[d] -> open[d] = true
        :: bolt[d] -> bolt[d] = false
        :: open[d] && inside[d] -> inside[d] = false
        :: open[d] -> open[d] = false; counted[d] = !starting
        :: !blind[d] && cuts == CUTS -> blind[d] = true
        :: else -> skip
        fi; d = 0 }
    od
}

proctype Platform() { cancelled = true }

proctype Power() {
    do
    :: cuts < CUTS -> atomic {               /* memory is gone: also what the contacts had counted */
        cuts++; walk = NOBODY; asked = NOBODY; counted[0] = false; counted[1] = false; starting = true }
    :: else -> break
    od
}

init {
    atomic {
        inside[0] = true; inside[1] = true;
        run Daemon(); run World(); run Platform(); run Power()
    }
}
