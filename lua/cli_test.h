/* cli_test.h - goprofd test PATH...: runs the tests of rules. */
#ifndef GOPROFD_LUA_CLI_TEST_H
#define GOPROFD_LUA_CLI_TEST_H

/* argv[0] is the subcommand.  Returns the exit code: 0 all passed, 1 a test failed or a file cannot be
 * used, 2 wrong usage. */
int cli_test(int argc, char **argv);

#endif
