"""How the C library keeps memory: settings with which a process that analyses networks is started."""

# glibc gives large blocks back to the system after each pass and faults them in again: a quarter of a ResNet-50's time.
ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_MMAP_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}
