// Execution plans: the library ranks engines for a graph, the first that accepts it is kept and run.
#include <stdio.h>

#include "kernels/cuda/cudnn_graph.h"

#define CANDIDATES 16

static ft_status set(const ft_cudnn *cudnn, cudnnBackendDescriptor_t descriptor, const char *what,
                     cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    return ft_cudnn_check(cudnn, cudnn->set(descriptor, name, type, count, values), what);
}

static void destroy(const ft_cudnn *cudnn, cudnnBackendDescriptor_t *descriptor)
{
    if (*descriptor) cudnn->destroy_descriptor(*descriptor);
    *descriptor = NULL;
}

// The graph as one descriptor of the library.
static ft_status operation_graph(const ft_cudnn_graph *graph, cudnnHandle_t handle, cudnnBackendDescriptor_t *out)
{
    const ft_cudnn *cudnn = graph->cudnn;
    FT_TRY(ft_cudnn_check(cudnn, cudnn->create_descriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, out), "operation graph"));
    FT_TRY(set(cudnn, *out, "operation graph, operations", CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
               graph->n_ops, graph->ops));
    FT_TRY(set(cudnn, *out, "operation graph, handle", CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle));
    return ft_cudnn_check(cudnn, cudnn->finalize(*out), "operation graph");
}

// Engine configurations of one heuristic, best first. All CANDIDATES descriptors are the caller's to destroy.
static ft_status rank(const ft_cudnn *cudnn, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode,
                      cudnnBackendDescriptor_t *heuristic, cudnnBackendDescriptor_t configs[CANDIDATES], int64_t *count)
{
    FT_TRY(ft_cudnn_check(cudnn, cudnn->create_descriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, heuristic), "heuristic"));
    FT_TRY(set(cudnn, *heuristic, "heuristic, graph", CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
               &graph));
    FT_TRY(set(cudnn, *heuristic, "heuristic, mode", CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    FT_TRY(ft_cudnn_check(cudnn, cudnn->finalize(*heuristic), "heuristic"));
    for (int i = 0; i < CANDIDATES; i++)
        FT_TRY(ft_cudnn_check(cudnn, cudnn->create_descriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]), "engine"));
    return ft_cudnn_check(cudnn, cudnn->get(*heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                            CANDIDATES, count, configs), "heuristic, results");
}

// Finalizing is where an engine compiles or refuses.
static ft_status try_config(ft_cudnn_plan *plan, cudnnBackendDescriptor_t config)
{
    const ft_cudnn *cudnn = plan->cudnn;
    ft_status status;
    FT_TRY_GOTO(status, refused, ft_cudnn_check(cudnn, cudnn->create_descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR,
                                                                              &plan->plan), "plan"));
    FT_TRY_GOTO(status, refused, set(cudnn, plan->plan, "plan, handle", CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                                     &plan->handle));
    FT_TRY_GOTO(status, refused, set(cudnn, plan->plan, "plan, engine", CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config));
    FT_TRY_GOTO(status, refused, ft_cudnn_check(cudnn, cudnn->finalize(plan->plan), "plan"));
    int64_t count = 0;
    FT_TRY_GOTO(status, refused, ft_cudnn_check(cudnn, cudnn->get(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                                                  CUDNN_TYPE_INT64, 1, &count, &plan->workspace),
                                                "plan, workspace"));
    return FT_OK;
refused:
    destroy(cudnn, &plan->plan);
    return status;
}

// Takes the accepted configuration out of configs.
static ft_status first_accepted(ft_cudnn_plan *plan, const char *mode, cudnnBackendDescriptor_t configs[CANDIDATES],
                                int64_t count)
{
    ft_status status = ft_error(FT_E_DEVICE, "cuDNN: no engine for this graph");
    for (int64_t i = 0; i < count && status != FT_OK; i++) {
        status = try_config(plan, configs[i]);
        if (status != FT_OK) {
            ft_cudnn_log(plan->cudnn, "%s: heuristic %s, engine %d refuses: %s", plan->name, mode, (int)i, ft_error_message());
            continue;
        }
        ft_cudnn_log(plan->cudnn, "%s: heuristic %s, engine %d of %d taken, workspace %lld", plan->name, mode, (int)i,
                     (int)count, (long long)plan->workspace);
        plan->config = configs[i];
        configs[i] = NULL;
    }
    return status;
}

static ft_status plan_by(ft_cudnn_plan *plan, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode,
                         const char *mode_name)
{
    cudnnBackendDescriptor_t heuristic = NULL, configs[CANDIDATES] = {NULL};
    int64_t count = 0;
    ft_status status = rank(plan->cudnn, graph, mode, &heuristic, configs, &count);
    ft_cudnn_log(plan->cudnn, "%s: heuristic %s: %d engines%s%s", plan->name, mode_name, (int)count, status ? ", " : "",
                 status ? ft_error_message() : "");
    if (status == FT_OK) status = first_accepted(plan, mode_name, configs, count < CANDIDATES ? count : CANDIDATES);
    for (int i = 0; i < CANDIDATES; i++) destroy(plan->cudnn, &configs[i]);
    destroy(plan->cudnn, &heuristic);
    return status;
}

ft_status ft_cudnn_graph_supported(const ft_cudnn_graph *graph, cudnnHandle_t handle)
{
    if (graph->status != FT_OK) return ft_error_prefix(FT_E_UNSUPPORTED, "cuDNN graph");
    const ft_cudnn *cudnn = graph->cudnn;
    cudnnBackendDescriptor_t descriptor = NULL, heuristic = NULL, configs[CANDIDATES] = {NULL};
    int64_t count = 0;
    ft_status status = operation_graph(graph, handle, &descriptor);
    if (status == FT_OK) status = rank(cudnn, descriptor, CUDNN_HEUR_MODE_A, &heuristic, configs, &count);
    for (int i = 0; i < CANDIDATES; i++) destroy(cudnn, &configs[i]);
    destroy(cudnn, &heuristic);
    destroy(cudnn, &descriptor);
    if (status == FT_OK && count == 0) status = ft_error(FT_E_UNSUPPORTED, "cuDNN: no engine for this graph");
    ft_cudnn_log(cudnn, "%s: %d engines%s%s", graph->name, (int)count, status ? ": " : "", status ? ft_error_message() : "");
    return status == FT_OK ? FT_OK : ft_error_prefix(FT_E_UNSUPPORTED, "%s", graph->name);
}

ft_status ft_cudnn_plan_make(ft_cudnn_plan *plan, const ft_cudnn_graph *graph, cudnnHandle_t handle)
{
    *plan = (ft_cudnn_plan){.cudnn = graph->cudnn, .handle = handle};
    snprintf(plan->name, sizeof plan->name, "%s", graph->name);
    if (graph->status != FT_OK) return ft_error_prefix(FT_E_UNSUPPORTED, "cuDNN graph");
    const struct { cudnnBackendHeurMode_t mode; const char *name; } modes[] = {
        {CUDNN_HEUR_MODE_A, "A"}, {CUDNN_HEUR_MODE_B, "B"}, {CUDNN_HEUR_MODE_FALLBACK, "fallback"}};
    char reason[512];  // that of the first heuristic, or of the graph as a whole: the later ones know fewer engines
    cudnnBackendDescriptor_t descriptor = NULL;
    ft_status status = operation_graph(graph, handle, &descriptor);
    if (status != FT_OK) snprintf(reason, sizeof reason, "%s", ft_error_message());
    bool planned = false;
    for (size_t i = 0; status == FT_OK && !planned && i < sizeof modes / sizeof *modes; i++) {
        planned = plan_by(plan, descriptor, modes[i].mode, modes[i].name) == FT_OK;
        if (!planned && i == 0) snprintf(reason, sizeof reason, "%s", ft_error_message());
    }
    destroy(graph->cudnn, &descriptor);
    return planned ? FT_OK : ft_error(FT_E_UNSUPPORTED, "%s: %s", plan->name, reason);
}

void ft_cudnn_plan_free(ft_cudnn_plan *plan)
{
    if (!plan->cudnn) return;
    destroy(plan->cudnn, &plan->plan);
    destroy(plan->cudnn, &plan->config);
    plan->cudnn = NULL;
}

static ft_status pack(const ft_cudnn_plan *plan, cudnnBackendDescriptor_t variant, int64_t n, const ft_cudnn_tensor *ids,
                      void *const *pointers, void *workspace)
{
    const ft_cudnn *cudnn = plan->cudnn;
    FT_TRY(set(cudnn, variant, "ids", CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, ids));
    FT_TRY(set(cudnn, variant, "pointers", CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, pointers));
    FT_TRY(set(cudnn, variant, "workspace", CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace));
    return ft_cudnn_check(cudnn, cudnn->finalize(variant), "variant pack");
}

// The variant pack is made for each call: a finalized descriptor takes no new pointers.
ft_status ft_cudnn_plan_run(const ft_cudnn_plan *plan, int64_t n, const ft_cudnn_tensor *ids, void *const *pointers,
                            void *workspace)
{
    const ft_cudnn *cudnn = plan->cudnn;
    cudnnBackendDescriptor_t variant = NULL;
    ft_status status;
    FT_TRY_GOTO(status, out, ft_cudnn_check(cudnn, cudnn->create_descriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &variant),
                                            "variant pack"));
    FT_TRY_GOTO(status, out, pack(plan, variant, n, ids, pointers, workspace));
    FT_TRY_GOTO(status, out, ft_cudnn_check(cudnn, cudnn->execute(plan->handle, plan->plan, variant), "execute"));
out:
    destroy(cudnn, &variant);
    return status == FT_OK ? FT_OK : ft_error_prefix(status, "%s", plan->name);
}
