/* free_port.h - ports for servers that cannot be told to take any and say which. */
#ifndef GOPROFD_TESTS_FREE_PORT_H
#define GOPROFD_TESTS_FREE_PORT_H

#include <stdint.h>

/* A TCP port of the loopback that nobody uses, and that stays so as far as it is up to us: it is
 * outside the range from which the kernel gives ports to those who ask for none
 * (ip_local_port_range of ip(7)), and no other caller, in this process or another, gets it while
 * this process lives. 0 if there is none.  Any thread. */
uint16_t free_port(void);

#endif
