/* cli_replay.h - goprofd replay FILE|FOLDER; called by main.c on the only thread.  Returns the exit code (core/cli.h). */
#ifndef GOPROFD_LUA_CLI_REPLAY_H
#define GOPROFD_LUA_CLI_REPLAY_H

int cli_replay(int argc, char **argv);

#endif
