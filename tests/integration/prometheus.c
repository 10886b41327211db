/* prometheus.c - /metrics is what Prometheus reads: by its own checker and by a real server. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 60000 };

struct scene {
    struct go_program program;
    struct daemon daemon;
    char *folder;
};

static struct scene open_scene(void)
{
    const struct go_version newest = go_version_newest();
    struct scene scene = {.folder = scratch_new()};
    scene.program =
        go_program_start(&newest, "profile_target", NULL, scene.folder, "target.log", NULL);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 200,"
                   " targets = { { name = 'the-target', pid = %d } } }",
                   (int)scene.program.process.pid);
    scene.daemon = daemon_start(daemon_folder_new(), config);
    json_decref(daemon_wait_for_snapshot(&scene.daemon, "the-target", 0));
    return scene;
}

static void close_scene(struct scene *scene)
{
    daemon_stop(&scene->daemon);
    go_program_release(&scene->program);
    scratch_remove(scene->folder);
}

/* Lines that promtool may complain about: names that goprof-optimizer gave and we must keep. */
static bool is_known_complaint(const char *line)
{
    return strncmp(line, "goprof_num_gc ", strlen("goprof_num_gc ")) == 0;
}

Test(prometheus, promtool_finds_nothing_wrong_but_the_inherited_names)
{
    struct scene scene = open_scene();
    char *metrics = path_join(scene.folder, "metrics.txt");
    http_save(scene.daemon.port, "/metrics", metrics);
    char *command = NULL;
    cr_assert(asprintf(&command, "promtool check metrics <%s", metrics) > 0);
    const char *argv[] = {"sh", "-c", command, NULL};
    char *output = NULL;
    const int status = process_run(argv, NULL, &output);
    /* 0: nothing to say; 3: complaints about style; anything else: not readable, or no promtool. */
    cr_assert(status == 0 || status == 3, "promtool ended with %d: %s", status, output);
    char *position = output;
    for (char *line; (line = strsep(&position, "\n")) != NULL;)
        cr_assert(line[0] == '\0' || is_known_complaint(line), "promtool: %s", line);
    free(output);
    free(command);
    free(metrics);
    close_scene(&scene);
}

static struct process start_prometheus(const char *folder, uint16_t port, uint16_t scraped_port)
{
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "global: { scrape_interval: 1s, scrape_timeout: 1s }\n"
                   "scrape_configs:\n"
                   "  - job_name: goprofd\n"
                   "    honor_labels: true\n"
                   "    static_configs: [ { targets: ['127.0.0.1:%u'] } ]\n",
                   (unsigned)scraped_port);
    char *config_path = file_write(folder, "prometheus.yml", config);
    char *storage = NULL;
    char *config_flag = NULL;
    char *listen = NULL;
    cr_assert(asprintf(&storage, "--storage.tsdb.path=%s/tsdb", folder) > 0);
    cr_assert(asprintf(&config_flag, "--config.file=%s", config_path) > 0);
    cr_assert(asprintf(&listen, "--web.listen-address=127.0.0.1:%u", (unsigned)port) > 0);
    const char *argv[] = {"prometheus", config_flag, storage, listen, NULL};
    char *log_path = path_join(folder, "prometheus.log");
    struct process prometheus = process_start(argv, log_path, NULL);
    free(process_wait_for(&prometheus, "Server is ready to receive web requests", SOON_MS));
    free(log_path);
    free(listen);
    free(config_flag);
    free(storage);
    free(config_path);
    return prometheus;
}

static bool has_a_result(const json_t *answer, const void *context)
{
    (void)context;
    return json_array_size(json_object_get(json_object_get(answer, "data"), "result")) > 0;
}

/* The first result of an instant query; waits until there is one. */
static json_t *query(uint16_t port, const char *escaped_query)
{
    const struct daemon prometheus = {.port = port, .process.log_path = (char[]){"/dev/null"}};
    char *path = NULL;
    cr_assert(asprintf(&path, "/api/v1/query?query=%s", escaped_query) > 0);
    json_t *answer = daemon_wait_for(&prometheus, path, has_a_result, NULL, SOON_MS);
    free(path);
    return answer;
}

static void assert_series_is_there(uint16_t port, const char *name)
{
    json_t *answer = query(port, name);
    const json_t *first =
        json_array_get(json_object_get(json_object_get(answer, "data"), "result"), 0);
    cr_assert_str_eq(answer_text(json_object_get(first, "metric"), "target"), "the-target");
    json_decref(answer);
}

Test(prometheus, a_real_server_scrapes_it_and_knows_the_target_by_its_label)
{
    struct scene scene = open_scene();
    const uint16_t port = http_free_port();
    struct process prometheus = start_prometheus(scene.folder, port, scene.daemon.port);

    json_t *up = query(port, "up%7Bjob%3D%22goprofd%22%7D%3D%3D1");
    json_decref(up);
    assert_series_is_there(port, "goprof_heap_alloc_bytes");
    assert_series_is_there(port, "goprof_num_gc");
    assert_series_is_there(port, "go_memstats_heap_inuse_bytes");
    assert_series_is_there(port, "go_goroutines");

    assert_series_is_there(port, "go_memstats_alloc_bytes_total");
    json_t *latency = query(port, "goprofd_http_request_duration_seconds_count%3E0");
    json_decref(latency);

    (void)process_stop(&prometheus, SIGTERM, SOON_MS);
    process_release(&prometheus);
    close_scene(&scene);
}
