/* Records every change that a process makes to the file system below a directory, in one global order, for
 * tests/power_loss.rs. Loaded with LD_PRELOAD; POWER_ROOT is the directory, POWER_TRACE the file to write.
 *
 * Record: op u8 · fd i32 · flags u32 · offset u64 · len1 u32 · len2 u32 · bytes1 · bytes2 (native order, packed).
 * Each operation is made and recorded under one lock, so the order in the trace is the order of the effects.
 * sync_file_range promises nothing about power loss, and is not recorded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, CLOSE, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, RMDIR };
enum { FDS = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FDS]; /* of tracked descriptors */
static const char *root;
static int trace = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void start(void) {
    if (trace >= 0 || !getenv("POWER_TRACE")) return;
    root = getenv("POWER_ROOT");
    trace = (int)syscall(SYS_openat, AT_FDCWD, getenv("POWER_TRACE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(uint8_t op, int32_t fd, uint32_t flags, uint64_t offset, const void *one, uint32_t len1,
                   const void *two, uint32_t len2) {
    struct __attribute__((packed)) { uint8_t op; int32_t fd; uint32_t flags; uint64_t offset; uint32_t len1, len2; }
        head = {op, fd, flags, offset, len1, len2};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)one, len1}, {(void *)two, len2}};
    if (syscall(SYS_writev, trace, parts, 3) != (long)(sizeof head + len1 + len2)) abort();
}

/* The absolute path, or NULL when it is not below the root. */
static char *resolve(int dir, const char *path) {
    start();
    if (trace < 0 || !path) return NULL;
    char *whole = NULL;
    if (path[0] == '/') whole = strdup(path);
    else if (dir >= 0 && dir < FDS && paths[dir]) { if (asprintf(&whole, "%s/%s", paths[dir], path) < 0) abort(); }
    if (whole && strncmp(whole, root, strlen(root)) == 0) return whole;
    free(whole);
    return NULL;
}

static int tracked(int fd) { return trace >= 0 && fd >= 0 && fd < FDS && paths[fd]; }

static int opened(int dir, const char *path, int flags, mode_t mode) {
    pthread_mutex_lock(&lock);
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    char *whole = fd >= 0 && fd < FDS ? resolve(dir, path) : NULL;
    if (whole) {
        free(paths[fd]);
        paths[fd] = whole;
        record(OPEN, fd, (flags & O_CREAT ? 1 : 0) | (flags & O_TRUNC ? 2 : 0), 0, whole, strlen(whole), "", 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags) ({ mode_t m = 0; if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list a; va_start(a, flags); m = va_arg(a, mode_t); va_end(a); } m; })
int open(const char *path, int flags, ...) { return opened(AT_FDCWD, path, flags, MODE(flags)); }
int open64(const char *path, int flags, ...) { return opened(AT_FDCWD, path, flags, MODE(flags)); }
int openat(int dir, const char *path, int flags, ...) { return opened(dir, path, flags, MODE(flags)); }
int openat64(int dir, const char *path, int flags, ...) { return opened(dir, path, flags, MODE(flags)); }

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (tracked(fd)) {
        record(CLOSE, fd, 0, 0, "", 0, "", 0);
        free(paths[fd]);
        paths[fd] = NULL;
    }
    int result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

static void wrote(int fd, off64_t offset, const void *bytes, ssize_t count) {
    if (count > 0) record(WRITE, fd, 0, (uint64_t)offset, bytes, (uint32_t)count, "", 0);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (!tracked(fd)) return syscall(SYS_write, fd, bytes, count);
    pthread_mutex_lock(&lock);
    ssize_t result = syscall(SYS_write, fd, bytes, count);
    wrote(fd, lseek64(fd, 0, SEEK_CUR) - result, bytes, result);
    pthread_mutex_unlock(&lock);
    return result;
}

/* Vectors are written piece by piece: a short count is always allowed. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!tracked(fd)) return syscall(SYS_writev, fd, parts, count);
    return count > 0 ? write(fd, parts[0].iov_base, parts[0].iov_len) : 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    pthread_mutex_lock(&lock);
    ssize_t result = syscall(SYS_pwrite64, fd, bytes, count, offset);
    if (tracked(fd)) wrote(fd, offset, bytes, result);
    pthread_mutex_unlock(&lock);
    return result;
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return count > 0 ? pwrite64(fd, parts[0].iov_base, parts[0].iov_len, offset) : 0;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return pwritev64(fd, parts, count, offset); }

int ftruncate64(int fd, off64_t length) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0 && tracked(fd)) record(TRUNCATE, fd, 0, (uint64_t)length, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

/* Reserving space changes no bytes; growing the file does. */
static int reserved(int fd, int mode, off64_t offset, off64_t length) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_fallocate, fd, mode, offset, length);
    if (result == 0 && tracked(fd) && mode == 0) {
        struct stat now;
        if (fstat(fd, &now) == 0) record(TRUNCATE, fd, 0, (uint64_t)now.st_size, "", 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return result;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return reserved(fd, mode, offset, length); }
int fallocate(int fd, int mode, off_t offset, off_t length) { return reserved(fd, mode, offset, length); }

static int synced(long number, int fd) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(number, fd);
    if (result == 0 && tracked(fd)) record(SYNC, fd, 0, 0, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }

/* An operation on names: made, then recorded when it succeeded. */
static int named(uint8_t op, int result, int dir1, const char *one, int dir2, const char *two) {
    char *path1 = result == 0 ? resolve(dir1, one) : NULL, *path2 = result == 0 && two ? resolve(dir2, two) : NULL;
    if (path1) record(op, -1, 0, 0, path1, strlen(path1), path2 ? path2 : "", path2 ? strlen(path2) : 0);
    free(path1);
    free(path2);
    pthread_mutex_unlock(&lock);
    return result;
}
#define LOCKED(call) (pthread_mutex_lock(&lock), (int)(call))

int renameat(int d1, const char *a, int d2, const char *b) { return named(RENAME, LOCKED(syscall(SYS_renameat2, d1, a, d2, b, 0)), d1, a, d2, b); }
int rename(const char *a, const char *b) { return renameat(AT_FDCWD, a, AT_FDCWD, b); }
int unlinkat(int dir, const char *path, int flags) {
    return named(flags & AT_REMOVEDIR ? RMDIR : UNLINK, LOCKED(syscall(SYS_unlinkat, dir, path, flags)), dir, path, 0, NULL);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdirat(int dir, const char *path, mode_t mode) { return named(MKDIR, LOCKED(syscall(SYS_mkdirat, dir, path, mode)), dir, path, 0, NULL); }
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
