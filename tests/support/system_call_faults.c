/* System calls that fail on demand, for files whose paths begin alike. Preloaded: see system_call_faults.py.
 *
 * Two ways to say what fails:
 * - in this process: fault_arm(), then the calls from `first` on, `many` of them (0: all), fail with
 *   `error`, or end the process (`error` 0). fault_disarm() returns how many calls were seen, and
 *   fault_call() the name of each.
 * - from outside: while the file $FAULT_CONTROL exists, every call fails with the number in it.
 *   $FAULT_FILES is what their paths begin with.
 *
 * Releasing a lock never fails here, as it never does in Linux. Taking one fails once: SQLite asks a
 * hundred times, for ten seconds, before it gives up.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char files[PATH_MAX];
static long seen, first, many;
static int failing, armed;
static const char *calls[1 << 14];

void fault_arm(const char *beginning, long first_call, long how_many, int error) {
    strncpy(files, beginning, sizeof files - 1);
    seen = 0, first = first_call, many = how_many, failing = error, armed = 1;
}

long fault_disarm(void) {
    armed = 0;
    return seen;
}

const char *fault_call(long number) { return calls[number]; }

__attribute__((constructor)) static void begin(void) {
    const char *named = getenv("FAULT_FILES");
    if (named) strncpy(files, named, sizeof files - 1);
}

static int is_inside(const char *path) {
    size_t length = strlen(files);
    return length && path && !strncmp(path, files, length);
}

static int is_open_inside(int descriptor) {
    char link[64], path[PATH_MAX];
    if (descriptor < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_inside(path);
}

/* Return the number of the error to fail with; 0: the call goes on. */
static int ordered_from_outside(void) {
    static const char *control;
    char text[16] = "";
    if (!control) control = getenv("FAULT_CONTROL") ? getenv("FAULT_CONTROL") : "";
    if (!*control) return 0;
    int descriptor = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return 0;
    long length = syscall(SYS_read, descriptor, text, sizeof text - 1);
    syscall(SYS_close, descriptor);
    return length > 0 ? atoi(text) : 0;
}

static int fault(const char *call, int inside) {
    if (!inside) return 0;
    if (!armed) return ordered_from_outside();
    if (++seen < (long)(sizeof calls / sizeof *calls)) calls[seen] = call;
    if (seen < first || (many && seen >= first + many)) return 0;
    if (!failing) syscall(SYS_kill, getpid(), SIGKILL);
    return failing;
}

static int lock_fault(int inside, int command, const struct flock *lock) {
    int is_lock = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK;
    if (is_lock && lock->l_type == F_UNLCK) return 0;
    long until = many;
    if (armed && is_lock) many = 1;
    int number = fault("fcntl", inside);
    many = until;
    return number;
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

#define STOP(value, name, inside) STOP_BY(value, fault(name, inside))

#define STOP_BY(value, found)                                                                        \
    do {                                                                                             \
        int before = errno, number = found;                                                          \
        if (number) {                                                                                \
            errno = number;                                                                          \
            return value;                                                                            \
        }                                                                                            \
        errno = before;                                                                              \
    } while (0)

#define OF_PATH(type, bad, name, parameters, arguments, path, ...)                                   \
    type name parameters {                                                                           \
        STOP(bad, #name, is_inside(path));                                                           \
        return REAL(type, #name, __VA_ARGS__) arguments;                                             \
    }

#define OF_FILE(type, bad, name, parameters, arguments, descriptor, ...)                             \
    type name parameters {                                                                           \
        STOP(bad, #name, is_open_inside(descriptor));                                                \
        return REAL(type, #name, __VA_ARGS__) arguments;                                             \
    }

#define MODE_OF(flags)                                                                               \
    mode_t mode = 0;                                                                                 \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                         \
        va_list rest;                                                                                \
        va_start(rest, flags);                                                                       \
        mode = va_arg(rest, mode_t);                                                                 \
        va_end(rest);                                                                                \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    STOP(-1, "open", is_inside(path));
    return REAL(int, "open", const char *, int, mode_t)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    STOP(-1, "open", is_inside(path));
    return REAL(int, "open64", const char *, int, mode_t)(path, flags, mode);
}

int fcntl(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    STOP_BY(-1, lock_fault(is_open_inside(descriptor), command, argument));
    return REAL(int, "fcntl", int, int, void *)(descriptor, command, argument);
}

int fcntl64(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    STOP_BY(-1, lock_fault(is_open_inside(descriptor), command, argument));
    return REAL(int, "fcntl64", int, int, void *)(descriptor, command, argument);
}

int close(int descriptor) { /* a close that fails has closed */
    int inside = (armed || *files) && is_open_inside(descriptor);
    int done = REAL(int, "close", int)(descriptor);
    STOP(-1, "close", inside);
    return done;
}

int posix_fallocate(int descriptor, off_t from, off_t length) {
    int number = fault("posix_fallocate", is_open_inside(descriptor));
    return number ? number : REAL(int, "posix_fallocate", int, off_t, off_t)(descriptor, from, length);
}

int posix_fallocate64(int descriptor, off64_t from, off64_t length) {
    int number = fault("posix_fallocate", is_open_inside(descriptor));
    return number ? number : REAL(int, "posix_fallocate64", int, off64_t, off64_t)(descriptor, from, length);
}

OF_PATH(int, -1, stat, (const char *path, struct stat *to), (path, to), path, const char *, struct stat *)
OF_PATH(int, -1, stat64, (const char *path, struct stat64 *to), (path, to), path, const char *, struct stat64 *)
OF_PATH(int, -1, lstat, (const char *path, struct stat *to), (path, to), path, const char *, struct stat *)
OF_PATH(int, -1, lstat64, (const char *path, struct stat64 *to), (path, to), path, const char *, struct stat64 *)
OF_PATH(int, -1, fstatat, (int at, const char *path, struct stat *to, int flags), (at, path, to, flags), path, int, const char *, struct stat *, int)
OF_PATH(int, -1, fstatat64, (int at, const char *path, struct stat64 *to, int flags), (at, path, to, flags), path, int, const char *, struct stat64 *, int)
OF_PATH(int, -1, access, (const char *path, int mode), (path, mode), path, const char *, int)
OF_PATH(int, -1, unlink, (const char *path), (path), path, const char *)
OF_PATH(int, -1, unlinkat, (int at, const char *path, int flags), (at, path, flags), path, int, const char *, int)
OF_PATH(int, -1, rename, (const char *from, const char *to), (from, to), to, const char *, const char *)
OF_PATH(int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), to, int, const char *, int, const char *)
OF_PATH(int, -1, mkdir, (const char *path, mode_t mode), (path, mode), path, const char *, mode_t)
OF_PATH(int, -1, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), path, int, const char *, mode_t)
OF_PATH(DIR *, NULL, opendir, (const char *path), (path), path, const char *)
OF_PATH(ssize_t, -1, readlink, (const char *path, char *to, size_t size), (path, to, size), path, const char *, char *, size_t)
OF_FILE(int, -1, fstat, (int file, struct stat *to), (file, to), file, int, struct stat *)
OF_FILE(int, -1, fstat64, (int file, struct stat64 *to), (file, to), file, int, struct stat64 *)
OF_FILE(ssize_t, -1, read, (int file, void *to, size_t size), (file, to, size), file, int, void *, size_t)
OF_FILE(ssize_t, -1, pread, (int file, void *to, size_t size, off_t at), (file, to, size, at), file, int, void *, size_t, off_t)
OF_FILE(ssize_t, -1, pread64, (int file, void *to, size_t size, off64_t at), (file, to, size, at), file, int, void *, size_t, off64_t)
OF_FILE(ssize_t, -1, write, (int file, const void *from, size_t size), (file, from, size), file, int, const void *, size_t)
OF_FILE(ssize_t, -1, pwrite, (int file, const void *from, size_t size, off_t at), (file, from, size, at), file, int, const void *, size_t, off_t)
OF_FILE(ssize_t, -1, pwrite64, (int file, const void *from, size_t size, off64_t at), (file, from, size, at), file, int, const void *, size_t, off64_t)
OF_FILE(int, -1, fsync, (int file), (file), file, int)
OF_FILE(int, -1, fdatasync, (int file), (file), file, int)
OF_FILE(int, -1, ftruncate, (int file, off_t size), (file, size), file, int, off_t)
OF_FILE(int, -1, ftruncate64, (int file, off64_t size), (file, size), file, int, off64_t)
OF_FILE(int, -1, flock, (int file, int how), (file, how), file, int, int)
OF_FILE(int, -1, fchmod, (int file, mode_t mode), (file, mode), file, int, mode_t)
OF_FILE(void *, MAP_FAILED, mmap, (void *at, size_t size, int may, int flags, int file, off_t from), (at, size, may, flags, file, from), file, void *, size_t, int, int, int, off_t)
OF_FILE(void *, MAP_FAILED, mmap64, (void *at, size_t size, int may, int flags, int file, off64_t from), (at, size, may, flags, file, from), file, void *, size_t, int, int, int, off64_t)
