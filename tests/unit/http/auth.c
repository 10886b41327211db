/* auth.c - tokens: which files hold some, and whom they let in. */
#include "http/auth.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct auth *auth;
static char path[64];

static void set_up(void)
{
    (void)snprintf(path, sizeof(path), "/tmp/goprofd-auth-XXXXXX");
    const int fd = mkstemp(path);
    cr_assert_neq(fd, -1);
    (void)close(fd);
    auth = auth_new();
    cr_assert_not_null(auth);
}

static void tear_down(void)
{
    auth_free(auth);
    (void)unlink(path);
}

TestSuite(auth, .init = set_up, .fini = tear_down);

static bool load(const char *text, struct error *err)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
    return auth_load(auth, path, err);
}

static bool lets_in(const char *value)
{
    return auth_allows(auth, value, value != NULL ? strlen(value) : 0);
}

Test(auth, lets_everybody_in_without_a_file)
{
    struct error err;
    cr_expect(lets_in(NULL));
    cr_expect(lets_in("Bearer whatever"));
    cr_assert(auth_load(auth, "", &err));
    cr_expect(lets_in(NULL));
}

Test(auth, lets_in_who_has_one_of_the_tokens)
{
    struct error err;
    cr_assert(load("first-token\r\n\nsecond.token=\n", &err), "%s", err.message);
    cr_expect(lets_in("Bearer first-token"));
    cr_expect(lets_in("bearer second.token="), "the scheme's case does not matter");
    static const char *const strangers[] = {NULL,
                                            "",
                                            "Bearer",
                                            "Bearer ",
                                            "Bearer first-toke",
                                            "Bearer first-tokens",
                                            "Bearer first-tokenfirst-token",
                                            "Bearer First-token",
                                            "Basic first-token",
                                            "first-token",
                                            "Bearer  first-token",
                                            "Bearer first-token\n"};
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
        cr_expect_not(lets_in(strangers[i]), "'%s'", strangers[i]);
}

Test(auth, keeps_the_tokens_it_has_when_the_file_is_wrong)
{
    struct error err;
    cr_assert(load("good-token\n", &err));
    static const char *const wrong[] = {"", "\n\n", "short\n", "good-token\nwith blanks in it\n", "t\xc3\xb6ken-token\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_expect_not(load(wrong[i], &err), "'%s'", wrong[i]);
        cr_expect(strstr(err.message, path) != NULL, "%s", err.message);
        cr_expect(strstr(err.message, "blanks") == NULL, "no secret is shown: %s", err.message);
        cr_expect(lets_in("Bearer good-token"));
        cr_expect_not(lets_in(NULL));
    }
    cr_expect_not(auth_load(auth, "/nowhere/at/all", &err));
    cr_expect(lets_in("Bearer good-token"));
}
