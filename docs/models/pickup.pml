/* The doors of a pickup under every interleaving of the daemon, the doors, the platform and power
 * cuts. One courier's code with two doors.
 * Code: edge/pickup/door_states.py, edge/pickup/pickups.py. Page: docs/explanation/pickup.md.
 *
 * On disk: what survives a cut. In memory: what does not. Each `atomic` that writes the disk is one
 * transaction. A contact reports the truth or nothing; a contact that reports a wrong state is no
 * property of this program.
 *
 * Checked: a lock is pulsed only for an intent that is on disk as `pulsing`, once for each, of a use
 * that is valid. A code becomes valid again only while all its parcels are inside. `make prove` runs
 * it; by hand:
 *
 *   spin -a pickup.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan
 *
 * -DBELIEVE_A_CLOSED_DOOR is the obvious first version: a start that takes a closed door for one that
 * never opened. The check finds the parcel that was taken before the cut.
 */
#define DOORS 2
#define MAXI 8              /* intents of one use: more are not made */
#ifndef SCANS
#define SCANS 3
#endif
#ifndef CUTS
#define CUTS 2
#endif
#define NONE 99

mtype = { reserved, pulsing, pulsed, opened, collected, released, unknown };

/* on disk */
mtype state[MAXI];
byte door_of[MAXI];
byte n;                     /* intents of the valid use */
bool use;                   /* a valid use is in the ledger */
bool cancelled;
bool exception_open;         /* an exception is open */

/* the world */
bool open[DOORS], bolt[DOORS], inside[DOORS], blind[DOORS];
bool lock_pulsed[MAXI];            /* the lock was pulsed for this intent: a witness, not a part of the program */

/* in memory */
byte current = NONE;         /* the intent that has the turn, NONE: none */
byte pulse_due = NONE;        /* the intent that the lock is about to be pulsed for */
bool counted[DOORS];        /* the contact saw an opening since the pulse */
bool starting;              /* a start has read no contact yet */
byte scans, cuts;

#define MY_TURN(s) (!starting && current != NONE && state[current] == s)
#define ENDED(i) (state[i] == collected || state[i] == released || state[i] == unknown)

/* scratch for the inlines: always 0 outside of them */
byte t, r, s, e;
bool all, live, left, was, any, some_live, some_left;

/* The first intent that has not ended, from `i` on, has the turn. */
inline next_turn() {
    t = 0; current = NONE;
    do
    :: t < n && current == NONE -> if :: !ENDED(t) -> current = t :: else fi; t++
    :: else -> break
    od; t = 0
}

/* The other reserved doors are released too. If nothing left the locker, the use is reversed. */
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
        assert(inside[0] && inside[1]);      /* a code is valid again only while its parcels are there */
        use = false;
        r = 0;
        do :: r < n -> lock_pulsed[r] = false; state[r] = 0; r++ :: else -> break od;
        n = 0
    :: else
    fi;
    r = 0; all = false
}

inline reserve(d) {
    if
    :: n < MAXI -> state[n] = reserved; door_of[n] = d; n++
    :: else
    fi
}

/* What the store knows of a door: is it live, was it only released, may it have been opened? */
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
    :: !cancelled && !use -> use = true; reserve(0); reserve(1)
    :: !cancelled && use ->
        do
        :: e < DOORS -> look_at(e); some_live = some_live || live;
            if :: left -> some_left = true; reserve(e) :: else fi; e++
        :: else -> break
        od;
        e = 0;
        if
        :: !some_live && !some_left ->       /* within the grace of any subset of them, or of none */
            do
            :: e < DOORS -> look_at(e); if :: was -> reserve(e) :: true fi; e++
            :: else -> break
            od
        :: else
        fi
    fi;
    e = 0; live = false; left = false; was = false; any = false; some_live = false; some_left = false;
    if :: current == NONE -> next_turn() :: else fi
}

proctype Daemon() {
    byte i, d;
    do
    /* A start reads every contact once, and pulses no lock. */
    :: atomic { starting ->
        i = 0;
        do
        :: i < n ->
            d = door_of[i];
            if
            :: ENDED(i) -> skip
            :: state[i] == reserved && open[d] && !blind[d] -> state[i] = unknown; exception_open = true
            :: state[i] == reserved && (blind[d] || !open[d]) -> release(i)
            :: (state[i] == pulsing || state[i] == pulsed) && open[d] && !blind[d] -> state[i] = opened
            :: (state[i] == pulsing || state[i] == pulsed) && (blind[d] || !open[d]) ->
#ifdef BELIEVE_A_CLOSED_DOOR
                release(i)
#else
                state[i] = unknown; exception_open = true
#endif
            :: state[i] == opened && blind[d] -> state[i] = unknown; exception_open = true
            :: state[i] == opened && !blind[d] && !open[d] -> state[i] = collected
            :: state[i] == opened && !blind[d] && open[d] -> skip
            fi; i++
        :: else -> break
        od;
        i = 0; d = 0; starting = false; next_turn() }

    :: atomic { !starting && scans < SCANS -> scans++; scan() }

    /* the turn of a reserved door: withdrawn meanwhile, or the step to pulsing */
    :: atomic { MY_TURN(reserved) && cancelled -> exception_open = true; release(current); next_turn() }
    :: atomic { MY_TURN(reserved) && !cancelled -> counted[door_of[current]] = false; state[current] = pulsing; pulse_due = current };
        /* between the commit and the pulse the power may go: then memory, and with it `pulse_due`, is gone */
        if
        :: atomic { MY_TURN(pulsing) && pulse_due == current ->
            assert(use && !lock_pulsed[current]);                     /* law 5: its intent is on disk, and it is pulsed once */
            lock_pulsed[current] = true; bolt[door_of[current]] = true; pulse_due = NONE };
            if
            :: atomic { MY_TURN(pulsing) && lock_pulsed[current] -> state[current] = pulsed }
            :: atomic { starting || current == NONE -> skip }
            fi
        :: atomic { starting || pulse_due == NONE -> skip }
        fi

    :: atomic { MY_TURN(pulsed) ->
        d = door_of[current];
        if
        :: !blind[d] && (open[d] || counted[d]) -> state[current] = opened
        :: !blind[d] && !open[d] && !counted[d] && !bolt[d] -> exception_open = true; release(current); next_turn()
        :: blind[d] && !bolt[d] -> state[current] = unknown; exception_open = true; next_turn()
        :: else -> skip
        fi; d = 0 }

    :: atomic { MY_TURN(opened) && !open[door_of[current]] && !blind[door_of[current]] -> state[current] = collected; next_turn() }
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
        cuts++; current = NONE; pulse_due = NONE; counted[0] = false; counted[1] = false; starting = true }
    :: else -> break
    od
}

init {
    atomic {
        inside[0] = true; inside[1] = true;
        run Daemon(); run World(); run Platform(); run Power()
    }
}
