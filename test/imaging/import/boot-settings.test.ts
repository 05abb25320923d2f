import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { importBootSettings } from '../../../src/imaging/import/boot-settings.ts';

const config = (text: string, is64Bit = true) => importBootSettings(text, '', is64Bit).config;

describe("an imported image's boot settings", () => {
  it("keeps config.txt's lines in their sections", () => {
    const lines = [
      '# a remark',
      'dtparam=audio=on',
      'auto_initramfs=1',
      'kernel=kernel_2712.img',
      'arm_64bit=1',
      '',
      '[cm4]',
      'otg_mode=1',
      '[cm5]',
      'dtoverlay=dwc2,dr_mode=host',
      '[all]',
      'enable_uart=1',
      '[pi4]',
      'dtoverlay=dwc2,dr_mode=host',
    ];
    assert.deepEqual(config(lines.join('\r\n')), [
      'dtparam=sd_poll_once',
      'dtparam=audio=on',
      '[cm4]',
      'otg_mode=1',
      '[cm5]',
      'dtoverlay=dwc2,dr_mode=host',
      '[all]',
      'enable_uart=1',
      '[pi4]',
      'dtoverlay=dwc2,dr_mode=host',
      '[all]',
      'arm_64bit=1',
    ]);
  });

  it('drops sections that said no more than which kernel', () => {
    assert.deepEqual(
      config('[pi5]\nkernel=kernel_2712.img\n[all]\ngpu_mem=16\n[tryboot]\nos_prefix=new/\n'),
      ['dtparam=sd_poll_once', 'gpu_mem=16', 'arm_64bit=1'],
    );
  });

  it('says which mode the kernel wants, whatever the image said', () => {
    assert.deepEqual(config('arm_64bit=1\n', false), ['dtparam=sd_poll_once', 'arm_64bit=0']);
  });

  for (const { given, kept } of [
    {
      given:
        'console=serial0,115200 console=tty1 root=PARTUUID=8c1f6b3e-02 rootfstype=ext4 fsck.repair=yes rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot',
      kept: 'console=serial0,115200 console=tty1',
    },
    {
      given:
        'console=tty1 root=LABEL=writable rootwait resize ds=nocloud;i=rpi-imager-17 cfg80211.ieee80211_regdom=DE',
      kept: 'console=tty1 cfg80211.ieee80211_regdom=DE',
    },
    {
      given:
        'root=/dev/mmcblk0p2 ro systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target',
      kept: '',
    },
    {
      given: 'splash plymouth.ignore-serial-consoles modules-load=dwc2,g_ether cgroup_enable=memory\n',
      kept: 'modules-load=dwc2,g_ether cgroup_enable=memory',
    },
    { given: '', kept: '' },
  ]) {
    it(`cmdline.txt: ${given || 'nothing'}`, () => {
      assert.equal(importBootSettings('', given, true).cmdline.join(' '), kept);
    });
  }
});
