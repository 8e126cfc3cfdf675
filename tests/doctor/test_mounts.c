// What stands behind a directory, on captured machines: drives, partitions, stacks, memory, networks, containers.
#include "captured.h"

#include "doctor/mount.h"

static void put_mounts(void)
{
    put("/proc/self/mountinfo", "27 1 259:2 / / rw shared:1 - ext4 /dev/nvme0n1p2 rw\n"
                                "28 27 0:30 / /dev/shm rw - tmpfs tmpfs rw\n"
                                "40 27 259:1 / /mnt/fast rw - xfs /dev/nvme1n1 rw\n"
                                "41 27 8:1 / /mnt/old rw - ext4 /dev/sda1 rw\n"
                                "42 27 9:0 / /mnt/raid rw - ext4 /dev/md0 rw\n"
                                "43 27 0:50 / /home rw - nfs4 server:/home rw\n"
                                "44 27 0:51 / /merged rw - overlay overlay rw\n"
                                "45 40 0:52 / /mnt/fast/ram rw - tmpfs tmpfs rw\n"
                                "46 27 254:0 / /vm rw - ext4 /dev/vda rw\n"
                                "47 27 8:1 / /media/My\\040Drive rw - ext4 /dev/sda1 rw\n");
    put_link("/sys/dev/block/259:2", "../../devices/pci/nvme/nvme0/nvme0n1/nvme0n1p2");
    put_link("/sys/dev/block/259:1", "../../devices/pci/nvme/nvme1/nvme1n1");
    put_link("/sys/dev/block/8:1", "../../devices/pci/host0/sda/sda1");
    put_link("/sys/dev/block/9:0", "../../devices/virtual/block/md0");
    put_link("/sys/dev/block/254:0", "../../devices/virtio/vda");
    put("/sys/devices/pci/nvme/nvme0/nvme0n1/nvme0n1p2/partition", "2\n");
    put_link("/sys/class/block/nvme0n1p2", "../../devices/pci/nvme/nvme0/nvme0n1/nvme0n1p2");
    put("/sys/devices/pci/host0/sda/sda1/partition", "1\n");
    put("/sys/devices/pci/host0/sda/queue/rotational", "1\n");
    put_link("/sys/class/block/sda1", "../../devices/pci/host0/sda/sda1");
    put_link("/sys/class/block/sda", "../../devices/pci/host0/sda");
    put("/sys/class/block/md0/slaves/nvme2n1/x", "");
    put("/sys/class/block/md0/slaves/nvme3n1/x", "");
    put("/sys/class/block/nvme1n1/device/model", "FAST DRIVE 3.84TB                       \n");
    put("/sys/class/block/nvme1n1/device/device/current_link_speed", "8.0 GT/s PCIe\n");
    put("/sys/class/block/nvme1n1/device/device/current_link_width", "4\n");
    put("/sys/class/block/nvme1n1/device/device/max_link_speed", "16.0 GT/s PCIe\n");
    put("/sys/class/block/nvme1n1/device/device/max_link_width", "4\n");
    put("/sys/class/block/nvme1n1/device/device/numa_node", "1\n");
}

static void the_deepest_mount_holds_a_path(void **state)
{
    static const struct {
        const char *path, *type, *device;
        ft_behind behind;
    } cases[] = {
        {"/etc/x", "ext4", "nvme0n1", FT_BEHIND_NVME}, {"/mnt/fast/a/b", "xfs", "nvme1n1", FT_BEHIND_NVME}, {"/mnt/faster", "ext4", "nvme0n1", FT_BEHIND_NVME},
        {"/mnt/fast/ram/x", "tmpfs", "", FT_BEHIND_MEMORY}, {"/dev/shm", "tmpfs", "", FT_BEHIND_MEMORY}, {"/mnt/old", "ext4", "sda", FT_BEHIND_DISK},
        {"/mnt/raid/x", "ext4", "md0", FT_BEHIND_STACK}, {"/home/me", "nfs4", "", FT_BEHIND_NETWORK}, {"/merged", "overlay", "", FT_BEHIND_OVERLAY},
        {"/vm", "ext4", "vda", FT_BEHIND_VIRTUAL}, {"/media/My Drive/x", "ext4", "sda", FT_BEHIND_DISK},
    };
    put_mounts();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ft_mount mount;
        assert_true(ft_mount_find(&mount, root, cases[i].path));
        if (mount.behind != cases[i].behind) fail_msg("%s: %s", cases[i].path, ft_behind_name(mount.behind));
        assert_string_equal(mount.type, cases[i].type);
        assert_string_equal(mount.device, cases[i].device);
    }
}

static void a_drive_tells_its_model_and_link(void **state)
{
    ft_mount mount;
    put_mounts();
    assert_true(ft_mount_find(&mount, root, "/mnt/fast"));
    assert_string_equal(mount.model, "FAST DRIVE 3.84TB");
    assert_string_equal(mount.link, "8.0 GT/s x4");
    assert_string_equal(mount.link_best, "16.0 GT/s x4");
    assert_int_equal(mount.node, 1);
    put("/sys/class/block/nvme1n1/device/device/current_link_speed", "16.0 GT/s PCIe\n");
    assert_true(ft_mount_find(&mount, root, "/mnt/fast"));
    assert_string_equal(mount.link_best, "");
    assert_true(ft_mount_find(&mount, root, "/mnt/raid"));
    assert_string_equal(mount.parts, "nvme2n1, nvme3n1");
}

// Directories of this machine, mounts of a captured one.
static void memory_and_a_shared_drive_are_notes(void **state)
{
    char line[512], nvme[512];
    put_memory();
    put("/a/x", "");
    put("/b/x", "");
    put("/c/x", "");
    snprintf(line, sizeof line, "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:9 / %s/c rw - tmpfs tmpfs rw\n", root);
    put("/proc/self/mountinfo", line);
    put_link("/sys/dev/block/254:0", "../../devices/virtio/vda");
    snprintf(nvme, sizeof nvme, "%s/a,%s/b,%s/c", root, root, root);
    json_t *report = examine(nvme);
    snprintf(line, sizeof line, "device %s/a", root);
    expect_row(report, line, "ok", "ext4 on vda (virtual disk)");
    snprintf(line, sizeof line, "device %s/b", root);
    expect_row(report, line, "note", "/a");
    snprintf(line, sizeof line, "device %s/c", root);
    expect_row(report, line, "note", "memory");
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOT_TEST(the_deepest_mount_holds_a_path), ROOT_TEST(a_drive_tells_its_model_and_link), ROOT_TEST(memory_and_a_shared_drive_are_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
