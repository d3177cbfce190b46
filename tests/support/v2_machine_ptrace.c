/* User-mode Linux 6.12 asks for 2,696 bytes of its processes' extended registers, and sets them alone. Since Linux 5.16 the
 * whole area has to be given (arch/x86/kernel/fpu/regset.c, xstateregs_set), which AMX makes larger. Loaded before it, this adds
 * the rest as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

long ptrace(enum __ptrace_request request, ...)
{
    va_list rest;
    va_start(rest, request);
    pid_t process = va_arg(rest, pid_t);
    void *address = va_arg(rest, void *);
    void *data = va_arg(rest, void *);
    va_end(rest);

    long (*real)(enum __ptrace_request, ...) = dlsym(RTLD_NEXT, "ptrace");
    static char whole[65536]; /* Its stacks are small, and one thread calls this. */
    struct iovec area = {whole, sizeof whole};
    if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE) {
        long failed = real(PTRACE_GETREGSET, process, address, &area);
        if (failed)
            return failed;
        const struct iovec *part = data;
        memcpy(whole, part->iov_base, part->iov_len < area.iov_len ? part->iov_len : area.iov_len);
        data = &area;
    }
    return real(request, process, address, data);
}
