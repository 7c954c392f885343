"""Doors to the kernel: calls that a job never needs, with arguments that would change nothing if they were let through.

Where a call is let through it fails for its arguments (bad address, no such descriptor), which counts as open.
"""

import os

from erfscope_worker.doors.door import Door, Place, system_call

NOWHERE = 1  # an address that cannot be read
NONE = -1  # a descriptor that is not open

# call: (number on x86-64, on arm64, arguments)
CALLS: dict[str, tuple[int | None, int | None, tuple[int, ...]]] = {
    "mount": (165, 40, (NOWHERE, NOWHERE, 0, 0, 0)),
    "umount2": (166, 39, (NOWHERE, 0)),
    "pivot_root": (155, 41, (NOWHERE, NOWHERE)),
    "chroot": (161, 51, (NOWHERE,)),
    "unshare": (272, 97, (0,)),
    "setns": (308, 268, (NONE, 0)),
    "open_tree": (428, 428, (NONE, NOWHERE, 0)),
    "move_mount": (429, 429, (NONE, NOWHERE, NONE, NOWHERE, 0)),
    "fsopen": (430, 430, (NOWHERE, 0)),
    "mount_setattr": (442, 442, (NONE, NOWHERE, 0, 0, 0)),
    "name_to_handle_at": (303, 264, (NONE, NOWHERE, NOWHERE, NOWHERE, 0)),
    "open_by_handle_at": (304, 265, (NONE, NOWHERE, 0)),
    "quotactl": (179, 60, (NONE, NOWHERE, 0, 0)),
    "swapon": (167, 224, (NOWHERE, 0)),
    "swapoff": (168, 225, (NOWHERE,)),
    "io_uring_setup": (425, 425, (1, NOWHERE)),
    "io_uring_register": (427, 427, (NONE, 0, 0, 0)),
    "bpf": (321, 280, (0, NOWHERE, 0)),
    "perf_event_open": (298, 241, (NOWHERE, 0, NONE, NONE, 0)),
    "userfaultfd": (323, 282, (0,)),
    "add_key": (248, 217, (NOWHERE, NOWHERE, 0, 0, 0)),
    "request_key": (249, 218, (NOWHERE, NOWHERE, 0, 0)),
    "keyctl": (250, 219, (0, 0, 0, 0, 0)),
    "init_module": (175, 105, (NOWHERE, 0, NOWHERE)),
    "finit_module": (313, 273, (NONE, NOWHERE, 0)),
    "delete_module": (176, 106, (NOWHERE, 0)),
    "kexec_load": (246, 104, (0, 0, 0, 0xFFFF0000)),
    "kexec_file_load": (320, 294, (NONE, NONE, 0, NOWHERE, 0xFFFF0000)),
    "reboot": (169, 142, (0, 0, 0, 0)),
    "acct": (163, 89, (NOWHERE,)),
    "iopl": (172, None, (0,)),
    "ioperm": (173, None, (0, 0, 0)),
    "modify_ldt": (154, None, (0, 0, 0)),
    "personality": (135, 92, (0xFFFFFFFF,)),
    "syslog": (103, 116, (10, 0, 0)),
    "sethostname": (170, 161, (NOWHERE, 4)),
    "setdomainname": (171, 162, (NOWHERE, 4)),
    "adjtimex": (159, 171, (NOWHERE,)),
    "clock_adjtime": (305, 266, (0, NOWHERE)),
    "settimeofday": (164, 170, (NOWHERE, 0)),
    "clock_settime": (227, 112, (0, NOWHERE)),
    "capset": (126, 91, (NOWHERE, NOWHERE)),
    "seccomp": (317, 277, (1, 0, NOWHERE)),
    "landlock_create_ruleset": (444, 444, (0, 0, 1)),
    "kcmp": (312, 272, (1, 1, 0, 0, 0)),
    "get_robust_list": (274, 100, (1, NOWHERE, NOWHERE)),
    "move_pages": (279, 239, (1, 0, 0, 0, 0, 0)),
    "migrate_pages": (256, 238, (1, 0, 0, 0)),
    "process_madvise": (440, 440, (NONE, NOWHERE, 0, 0, 0)),
    "pidfd_send_signal": (424, 424, (NONE, 0, 0, 0)),
    "pidfd_getfd": (438, 438, (NONE, 0, 0)),
    "tkill": (200, 130, (1, 0)),
    "rt_sigqueueinfo": (129, 138, (1, 0, NOWHERE)),
    "rt_tgsigqueueinfo": (297, 240, (1, 1, 0, NOWHERE)),
    "vmsplice": (278, 75, (NONE, NOWHERE, 0, 0)),
    "splice": (275, 76, (NONE, 0, NONE, 0, 0, 0)),
    "copy_file_range": (326, 285, (NONE, 0, NONE, 0, 0, 0)),
    "timer_create": (222, 107, (0, 0, NOWHERE)),
    "mincore": (27, 232, (NOWHERE, 0, NOWHERE)),
    "remap_file_pages": (216, 234, (NOWHERE, 0, 0, 0, 0)),
    "pkey_mprotect": (329, 288, (NOWHERE, 0, 0, NONE)),
    "lookup_dcookie": (212, 18, (0, NOWHERE, 0)),
    "setgroups": (116, 159, (NONE, NOWHERE)),
    "io_uring_enter": (426, 426, (NONE, 0, 0, 0, 0, 0)),
    "landlock_add_rule": (445, 445, (NONE, 1, NOWHERE, 0)),
    "landlock_restrict_self": (446, 446, (NONE, 0)),
    "fsconfig": (431, 431, (NONE, 0, 0, 0, 0)),
    "fsmount": (432, 432, (NONE, 0, 0)),
    "fspick": (433, 433, (NONE, NOWHERE, 0)),
    "statmount": (457, 457, (NOWHERE, NOWHERE, 0, 0)),
    "listmount": (458, 458, (NOWHERE, NOWHERE, 0, 0)),
    "lsm_get_self_attr": (459, 459, (0, NOWHERE, NOWHERE, 0)),
    "lsm_set_self_attr": (460, 460, (0, NOWHERE, 0, 0)),
    "quotactl_fd": (443, 443, (NONE, 0, 0, 0)),
    "process_vm_writev": (311, 271, (1, NOWHERE, 1, NOWHERE, 1, 0)),
    "process_mrelease": (448, 448, (NONE, 0)),
    "execveat": (322, 281, (NONE, NOWHERE, 0, 0, 0)),
    "wait4": (61, 260, (NONE, 0, 1, 0)),
    "waitid": (247, 95, (1, 1, NOWHERE, 5, 0)),
    "futex_waitv": (449, 449, (NOWHERE, 1, 0, NOWHERE, 0)),
    "futex_requeue": (456, 456, (NOWHERE, 0, 0, 0)),
    "cachestat": (451, 451, (NONE, NOWHERE, NOWHERE, 0)),
    "fchmodat2": (452, 452, (NONE, NOWHERE, 0, 0)),
    "map_shadow_stack": (453, 453, (0, 0, 0)),
    "set_mempolicy": (238, 237, (0, NOWHERE, 64)),
    "set_mempolicy_home_node": (450, 450, (NOWHERE, 0, 0, 0)),
    "ioprio_set": (251, 30, (1, 1, 0)),
    "ioprio_get": (252, 31, (1, 1)),
    "getpriority": (140, 141, (0, 1)),
    "sched_setattr": (314, 274, (1, NOWHERE, 0)),
    "sched_getattr": (315, 275, (1, NOWHERE, 56, 0)),
    "setitimer": (38, 103, (0, NOWHERE, 0)),
    "timerfd_create": (283, 85, (1, 0)),
    "signalfd4": (289, 74, (NONE, NOWHERE, 8, 0)),
    "io_setup": (206, 0, (1, NOWHERE)),
    "sync": (162, 81, ()),
    "syncfs": (306, 267, (NONE,)),
    "fallocate": (285, 47, (NONE, 0, 0, 1)),
    "sendfile": (40, 71, (NONE, NONE, 0, 1)),
    "tee": (276, 77, (NONE, NONE, 1, 0)),
    "readahead": (187, 213, (NONE, 0, 1)),
    "renameat2": (316, 276, (NONE, NOWHERE, NONE, NOWHERE, 0)),
    "unlinkat": (263, 35, (NONE, NOWHERE, 0)),
    "statfs": (137, 43, (NOWHERE, NOWHERE)),
    "umask": (95, 166, (0o22,)),
    "vhangup": (153, 58, ()),
    "pkey_alloc": (330, 289, (0, 0)),
    "sendmmsg": (307, 269, (NONE, NOWHERE, 1, 0)),
    "recvmmsg": (299, 243, (NONE, NOWHERE, 1, 0, 0)),
    "accept4": (288, 242, (NONE, 0, 0, 0)),
    "a call that no kernel has": (1000, 1000, ()),
}


def attempts(name: str, x86_64: int | None, aarch64: int | None, arguments: tuple[int, ...]) -> list[Door]:
    """The door of one row; none where the architecture does not have the call."""
    number = {"x86_64": x86_64, "aarch64": aarch64}.get(os.uname().machine)
    if number is None:
        return []

    def attempt(place: Place) -> object:
        return system_call(number, *arguments)

    return [Door("kernel", name, attempt)]


DOORS = [door for name, row in CALLS.items() for door in attempts(name, *row)]
