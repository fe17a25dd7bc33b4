#!/bin/sh
# The isolation tests under cgroup v2, in a virtual machine: for hosts that have the controllers on cgroup v1.
#
#   apt-get install qemu-system-x86 busybox-static cpio kmod
#   sh tests/vm/cgroup_v2.sh [arguments of pytest]
#
# Boots Debian's kernel under qemu (emulated, so slow: a minute to boot) with this machine's own files below an overlay in
# memory: nothing that the tests write stays. Everything else is made in build/vm. Exit status: pytest's.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
work=$here/build/vm
tests=${*:-"'tests/integration/test_isolation.py::test_sandbox_that_runs_into_a_limit_is_held_by_it[root]' 'tests/integration/test_isolation.py::test_each_way_of_ending_is_reported_as_it_was[root-auto]'"}
mkdir -p "$work"
cd "$work"

if [ ! -d kernel ]; then
  package=$(apt-cache depends linux-image-amd64 | awk '/Depends/{print $2; exit}')
  apt-get download "$package"
  dpkg-deb -x "$package"_*.deb kernel.new
  depmod -b kernel.new "$(ls kernel.new/lib/modules)"
  mv kernel.new kernel
fi
version=$(ls kernel/lib/modules)

rm -rf root
mkdir -p root/bin root/modules root/proc root/sys root/dev root/host root/written root/all
cp /bin/busybox root/bin/busybox
number=100
for module in virtio_pci 9pnet_virtio 9p overlay loop tun veth nf_tables; do
  modprobe -d kernel -S "$version" --show-depends "$module" | awk '/^insmod/{print $2}'
done | awk '!seen[$0]++' > modules
while read -r file; do
  cp "$file" "root/modules/$number-$(basename "$file")"
  number=$((number + 1))
done < modules

cat > job <<JOB
cd $here && mkdir -p .hearth-test && mount -t tmpfs scratch .hearth-test
PYTHONDONTWRITEBYTECODE=1 .venv/bin/python -m pytest -q -p no:cacheprovider -o timeout=1800 $tests
JOB
cat > root/init <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod $module; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose host /host || $b poweroff -f
$b mount -t tmpfs -o size=3g written /written; $b mkdir /written/up /written/work
$b mount -t overlay -o lowerdir=/host,upperdir=/written/up,workdir=/written/work overlay /all
for kind in proc sysfs devtmpfs; do
  case $kind in proc) at=proc ;; sysfs) at=sys ;; *) at=dev ;; esac
  $b mount -t $kind $kind /all/$at
done
$b mkdir -p /all/dev/pts /all/dev/shm
$b mount -t devpts devpts /all/dev/pts; $b mount -t tmpfs shm /all/dev/shm
$b mount -t cgroup2 cgroup /all/sys/fs/cgroup
$b ip link set lo up
$b hostname vm
$b mount -t tmpfs -o mode=1777 tmp /all/tmp
job=$($b sed 's/.*job=//' /proc/cmdline)
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
$b chroot /all /bin/sh "$job"
echo "EXIT $?"
$b poweroff -f
INIT
chmod +x root/init
(cd root && find . | cpio -o -H newc 2>/dev/null | gzip -1) > initramfs

qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 4096 -smp 2 -nographic -no-reboot \
  -kernel "kernel/boot/vmlinuz-$version" -initrd initramfs \
  -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
  -append "console=ttyS0 loglevel=4 panic=-1 job=$work/job" | tee output
exit "$(tr -d '\r' < output | awk '/^EXIT /{status=$2} END{print status == "" ? 1 : status}')"
