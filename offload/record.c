// Layout arithmetic of records; the rules are in record.h.
#include "offload/record.h"

#include "common/memory.h"

// Bounds that keep every byte count of a layout below 2^63: 2^40 elements of at most 4 bytes, 16 tensors, 2^16 layers.
#define MAX_ELEMENTS ((int64_t)1 << 40)

// What the layout of one record is computed from.
typedef struct {
    const ft_shape *shape;
    ft_base_format format;
    ft_form_of form;
    void *context;
    ft_record *record;
} layout_builder;

static int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

// Appends one piece to the record; returns its offset.
static int64_t take(ft_record *record, int64_t bytes)
{
    int64_t offset = round_up(record->bytes, FT_ARENA_ALIGN);
    record->bytes = offset + bytes;
    return offset;
}

ft_form ft_base_form(ft_base_format format)
{
    return format == FT_BASE_FP8 ? (ft_form){FT_DTYPE_F8_E4M3, FT_SCALE_TILE} : (ft_form){FT_DTYPE_BF16, FT_SCALE_NONE};
}

bool ft_role_is_linear(ft_role role)
{
    return ft_role_is_matrix(role) && role < FT_ROLE_LAYER_COUNT;
}

static bool model_has(const ft_shape *shape, ft_role role, int64_t layer)
{
    char name[FT_TENSOR_NAME];
    if (role == FT_ROLE_HEAD && shape->tied) return false;
    return ft_shape_tensor_name(shape, role, layer, name);
}

// Appends a matrix or vector: codes, then scales where it is quantized.
static ft_status add_tensor(ft_record *record, ft_record_tensor tensor)
{
    if (tensor.rows <= 0 || tensor.cols <= 0 || tensor.rows > MAX_ELEMENTS / tensor.cols)
        return ft_error(FT_E_INPUT, "a tensor of %lld x %lld cannot be stored: check the sizes in config.json",
                        (long long)tensor.rows, (long long)tensor.cols);
    FT_ASSERT(record->n_tensors < FT_RECORD_TENSORS);
    tensor.codes_bytes = tensor.rows * tensor.cols * (int64_t)ft_dtype_bytes(tensor.dtype);
    tensor.codes = take(record, tensor.codes_bytes);
    tensor.scales = tensor.scales_t = -1;
    if (tensor.kind != FT_SCALE_NONE)
        tensor.scales = take(record, 4 * (int64_t)ft_scale_count(tensor.kind, tensor.rows, tensor.cols));
    if (tensor.kind == FT_SCALE_TILE)
        tensor.scales_t = take(record, 4 * (int64_t)ft_scale_count(tensor.kind, tensor.cols, tensor.rows));
    record->tensor[record->n_tensors++] = tensor;
    return FT_OK;
}

static ft_form form_of(const layout_builder *builder, ft_role role)
{
    if (builder->form != NULL) return builder->form(builder->context, role, builder->record->layer);
    return ft_role_is_linear(role) ? ft_base_form(builder->format) : (ft_form){builder->shape->dtype, FT_SCALE_NONE};
}

// Appends a tensor that keeps the source's dtype: norms, biases, embedding, head.
static ft_status add_plain(layout_builder *builder, ft_role role)
{
    if (!model_has(builder->shape, role, builder->record->layer)) return FT_OK;
    ft_record_tensor tensor = {.role = role, .n_parts = 1, .group = FT_GROUP_SMALL, .kind = FT_SCALE_NONE};
    tensor.dtype = form_of(builder, role).dtype;
    ft_shape_role(builder->shape, role, &tensor.rows, &tensor.cols);
    return add_tensor(builder->record, tensor);
}

static ft_status add_linear(layout_builder *builder, ft_group group, ft_linear first, int n_parts)
{
    ft_form form = form_of(builder, ft_linear_role(first));
    ft_record_tensor tensor = {.role = ft_linear_role(first), .n_parts = n_parts, .group = group, .dtype = form.dtype,
                               .kind = form.kind};
    for (int i = 0; i < n_parts; i++) {
        int64_t rows;
        ft_shape_linear(builder->shape, first + i, &rows, &tensor.cols);
        tensor.rows += rows;
    }
    return add_tensor(builder->record, tensor);
}

// A scale of one part must not reach into another: a tile spans 128 rows, a tensor's scale all of them.
static bool parts_stack(const layout_builder *builder, ft_linear first, int count)
{
    ft_form form = form_of(builder, ft_linear_role(first));
    if (form.kind == FT_SCALE_TENSOR) return count == 1;
    for (int i = 0; i < count; i++) {
        int64_t rows, cols;
        ft_form other = form_of(builder, ft_linear_role(first + i));
        ft_shape_linear(builder->shape, first + i, &rows, &cols);
        if (other.dtype != form.dtype || other.kind != form.kind) return false;
        if (form.kind == FT_SCALE_TILE && rows % FT_TILE != 0) return false;
    }
    return true;
}

static void begin_extent(ft_record *record, ft_group group)
{
    record->extent[group].offset = record->bytes;
}

static void end_extent(ft_record *record, ft_group group)
{
    ft_extent *extent = &record->extent[group];
    extent->bytes = round_up(record->bytes - extent->offset, FT_EXTENT_ALIGN);
    record->bytes = extent->offset + extent->bytes;
}

static ft_status lay_out_group(layout_builder *builder, ft_group group)
{
    ft_linear first;
    int count;
    ft_group_linears(group, &first, &count);
    begin_extent(builder->record, group);
    if (parts_stack(builder, first, count))
        FT_TRY(add_linear(builder, group, first, count));
    else
        for (int i = 0; i < count; i++) FT_TRY(add_linear(builder, group, first + i, 1));
    end_extent(builder->record, group);
    return FT_OK;
}

// The extent of tensors [first, last] of the role enumeration that are not linears.
static ft_status lay_out_plain(layout_builder *builder, ft_role first, ft_role last)
{
    begin_extent(builder->record, FT_GROUP_SMALL);
    for (ft_role role = first; role <= last; role++) {
        if (!ft_role_is_linear(role)) FT_TRY(add_plain(builder, role));
    }
    end_extent(builder->record, FT_GROUP_SMALL);
    return FT_OK;
}

static ft_status lay_out_layer(layout_builder *builder)
{
    for (ft_group group = 0; group < FT_GROUP_MATRICES; group++) FT_TRY(lay_out_group(builder, group));
    return lay_out_plain(builder, 0, FT_ROLE_LAYER_COUNT - 1);
}

static ft_status lay_out_record(layout_builder *builder, int index)
{
    int64_t layers = builder->shape->layers;
    builder->record->layer = index < layers ? index : -1;
    builder->record->kind = index < layers ? FT_RECORD_LAYER : index == layers ? FT_RECORD_EMBED : FT_RECORD_HEAD;
    switch (builder->record->kind) {
    case FT_RECORD_LAYER: return lay_out_layer(builder);
    case FT_RECORD_EMBED: return lay_out_plain(builder, FT_ROLE_EMBED, FT_ROLE_EMBED);
    default: return lay_out_plain(builder, FT_ROLE_FINAL_NORM, FT_ROLE_HEAD);
    }
}

ft_status ft_layout_make(ft_layout *layout, const ft_shape *shape, ft_base_format format, ft_form_of form, void *context)
{
    *layout = (ft_layout){.shape = *shape, .format = format};
    if (shape->layers <= 0 || shape->layers > FT_RECORD_LAYERS)
        return ft_error(FT_E_INPUT, "%lld layers: check num_hidden_layers in config.json", (long long)shape->layers);
    layout->n_records = (int)shape->layers + 2;
    layout->record = FT_NEW_ARRAY(ft_record, layout->n_records);
    FT_ALLOC_CHECK(layout->record);
    for (int i = 0; i < layout->n_records; i++) {
        layout_builder builder = {shape, format, form, context, &layout->record[i]};
        ft_status status = lay_out_record(&builder, i);
        if (status != FT_OK) {
            ft_layout_free(layout);
            return status;
        }
        layout->bytes += layout->record[i].bytes;
        if (i < shape->layers && layout->record[i].bytes > layout->layer_bytes_max)
            layout->layer_bytes_max = layout->record[i].bytes;
    }
    return FT_OK;
}

void ft_layout_free(ft_layout *layout)
{
    ft_free(layout->record);
    *layout = (ft_layout){0};
}

const ft_record_tensor *ft_record_find(const ft_record *record, ft_role role)
{
    for (int i = 0; i < record->n_tensors; i++) {
        const ft_record_tensor *tensor = &record->tensor[i];
        if (role >= tensor->role && role < tensor->role + tensor->n_parts) return tensor;
    }
    return NULL;
}

ft_matrix ft_record_matrix(const ft_record_tensor *tensor, const void *base)
{
    const char *bytes = base;
    return (ft_matrix){
        .codes = bytes + tensor->codes,
        .scales = tensor->scales < 0 ? NULL : (const float *)(bytes + tensor->scales),
        .scales_t = tensor->scales_t < 0 ? NULL : (const float *)(bytes + tensor->scales_t),
        .dtype = tensor->dtype,
        .kind = tensor->kind,
        .rows = tensor->rows,
        .cols = tensor->cols,
    };
}

int64_t ft_record_codes_bytes(const ft_record *record)
{
    int64_t bytes = 0;
    for (int i = 0; i < record->n_tensors; i++)
        if (ft_role_is_matrix(record->tensor[i].role)) bytes += record->tensor[i].codes_bytes;
    return bytes;
}
