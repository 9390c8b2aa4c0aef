/* A disk that fails when it is told to, for tests/disk_errors. Loaded with LD_PRELOAD; FAULTS names a file that switches
 * a fault on while it is there. It holds one word and a part of the paths that are meant:
 *
 *   sync PART   the next fdatasync or fsync of such a file fails with EIO, once: the switch is removed. What was written
 *               last is lost, and later syncs succeed, as on a kernel that marks dirty pages clean after an error.
 *   full PART   writing to such a file fails with ENOSPC while a file "ballast" stands beside it.
 *   over PART   writing to such a file fails with ENOSPC. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FDS = 4096, ZEROS = 1 << 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { off64_t at; size_t bytes; } last[FDS]; /* what each descriptor wrote last */

/* The fault that is on and whether it means this descriptor's file. */
static int is_on(const char *fault, int fd, char *path, size_t size) {
    const char *name = getenv("FAULTS");
    FILE *file = name ? fopen(name, "re") : NULL;
    if (!file) return 0;
    char word[16] = "", part[200] = "", link[64];
    int read = fscanf(file, "%15s %199s", word, part);
    fclose(file);
    if (read != 2 || strcmp(word, fault) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, part) != NULL;
}

static int fails(int fd) {
    char path[4096];
    pthread_mutex_lock(&lock);
    int failing = is_on("sync", fd, path, sizeof path) && unlink(getenv("FAULTS")) == 0;
    if (failing && fd < FDS) {
        static const char zeros[ZEROS];
        for (size_t done = 0; done < last[fd].bytes; done += ZEROS) {
            size_t count = last[fd].bytes - done < ZEROS ? last[fd].bytes - done : ZEROS;
            if (syscall(SYS_pwrite64, fd, zeros, count, last[fd].at + (off64_t)done) < 0) abort();
        }
    }
    pthread_mutex_unlock(&lock);
    return failing;
}

static int synced(long number, int fd) {
    if (fails(fd)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(number, fd);
}
int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }

static int is_full(int fd) {
    char path[4096];
    if (is_on("over", fd, path, sizeof path)) return 1;
    if (!is_on("full", fd, path, sizeof path)) return 0;
    char *name = strrchr(path, '/');
    if (!name || (size_t)(name - path) + sizeof "/ballast" > sizeof path) return 0;
    strcpy(name, "/ballast");
    return access(path, F_OK) == 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    if (is_full(fd)) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t result = syscall(SYS_pwrite64, fd, bytes, count, offset);
    if (result > 0 && fd < FDS) {
        pthread_mutex_lock(&lock);
        last[fd].at = offset;
        last[fd].bytes = (size_t)result;
        pthread_mutex_unlock(&lock);
    }
    return result;
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }

ssize_t write(int fd, const void *bytes, size_t count) {
    if (is_full(fd)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, count);
}
