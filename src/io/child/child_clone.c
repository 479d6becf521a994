/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/child/child_impl.h"

/*
 * The C library has clone, which knows no control groups, and no clone3. The system call alone does
 * not do: where the child shares our memory it needs a stack of its own from its first instruction
 * on, so what follows the call there must not touch the one of the caller. Per processor,
 * therefore.
 */
#if defined(__x86_64__)
static long clone3_to(struct clone_args *args, int (*run)(void *), void *arg)
{
    long rc;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %[arg], %%rdi\n\t"
                     "call *%[run]\n\t"
                     "mov %%eax, %%edi\n\t"
                     "mov %[leave], %%eax\n\t"
                     "syscall\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(rc)
                     : "0"((long)SYS_clone3), "D"(args),
                       "S"(sizeof *args), [run] "r"(run), [arg] "r"(arg), [leave] "i"(SYS_exit)
                     : "rcx", "r11", "memory", "cc");
    return rc;
}
#elif defined(__aarch64__)
static long clone3_to(struct clone_args *args, int (*run)(void *), void *arg)
{
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register long x8 __asm__("x8") = SYS_clone3;

    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, #0\n\t"
                     "mov x0, %[arg]\n\t"
                     "blr %[run]\n\t"
                     "mov x8, %[leave]\n\t"
                     "svc #0\n\t"
                     "1:"
                     : "+r"(x0)
                     : "r"(x1), "r"(x8), [run] "r"(run), [arg] "r"(arg), [leave] "i"(SYS_exit)
                     : "memory", "cc");
    return x0;
}
#else
static long clone3_to(struct clone_args *args, int (*run)(void *), void *arg)
{
    (void)args;
    (void)run;
    (void)arg;
    return -ENOSYS;
}
#endif

pid_t child_clone_into(int cgroup, uint64_t flags, int (*run)(void *), void *arg, char *stack,
                       size_t size, int *pidfd)
{
    struct clone_args args = {.flags =
                                  flags | CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_INTO_CGROUP,
                              .pidfd = (uintptr_t)pidfd,
                              .exit_signal = SIGCHLD,
                              .stack = (uintptr_t)stack,
                              .stack_size = size,
                              .cgroup = (unsigned)cgroup};
    long rc = clone3_to(&args, run, arg);

    if (rc >= 0)
        return (pid_t)rc;
    errno = (int)-rc;
    return -1;
}
