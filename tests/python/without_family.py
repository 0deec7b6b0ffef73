"""Becomes another program, for which the system makes no sockets of one address family.

usage: without_family.py 4|6 PROGRAM [ARGUMENT...]

What socket(2) answers then is what a kernel without the family answers: EAFNOSUPPORT. It is the doing of a filter
(seccomp(2)), which is inherited by exec.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

SYSCALL_SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
# Of struct seccomp_data: the number of the call, and the lower half of its first argument.
NUMBER, FIRST_ARGUMENT = 0, 16


def instruction(code, value, if_true=0, if_false=0):
    return struct.pack("=HBBI", code, if_true, if_false, value)


def main():
    family = {"4": socket.AF_INET, "6": socket.AF_INET6}[sys.argv[1]]
    program = b"".join(
        [
            instruction(LOAD, NUMBER),
            instruction(JUMP_IF_EQUAL, SYSCALL_SOCKET, 0, 3),
            instruction(LOAD, FIRST_ARGUMENT),
            instruction(JUMP_IF_EQUAL, family, 0, 1),
            instruction(RETURN, ERRNO | errno.EAFNOSUPPORT),
            instruction(RETURN, ALLOW),
        ]
    )
    text = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions, and where they are.
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(text)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    for words in [
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(filter_), 0, 0),
    ]:
        if prctl(*words) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    os.execv(sys.argv[2], sys.argv[2:])


main()
