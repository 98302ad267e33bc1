#include "core/registers.h"

#include "core/base.h"

#if defined(__x86_64__)
#define WIPE_16(n) __asm__ volatile("pxor %%xmm" #n ", %%xmm" #n :: \
										: "xmm" #n)
#define WIPE_512(n) __asm__ volatile("vpxord %zmm" #n ", %zmm" #n ", %zmm" #n) /* whoever calls keeps nothing in one of them (System V ABI 3.2.1) */

static void
wipe_upper(void)
{
	WIPE_512(16);
	WIPE_512(17);
	WIPE_512(18);
	WIPE_512(19);
	WIPE_512(20);
	WIPE_512(21);
	WIPE_512(22);
	WIPE_512(23);
	WIPE_512(24);
	WIPE_512(25);
	WIPE_512(26);
	WIPE_512(27);
	WIPE_512(28);
	WIPE_512(29);
	WIPE_512(30);
	WIPE_512(31);
}

static void
wipe_narrow(void)
{
	WIPE_16(0);
	WIPE_16(1);
	WIPE_16(2);
	WIPE_16(3);
	WIPE_16(4);
	WIPE_16(5);
	WIPE_16(6);
	WIPE_16(7);
	WIPE_16(8);
	WIPE_16(9);
	WIPE_16(10);
	WIPE_16(11);
	WIPE_16(12);
	WIPE_16(13);
	WIPE_16(14);
	WIPE_16(15);
}

__attribute__((noinline)) void
registers_wipe(void)
{
	if (BARE)
		return;
	if (__builtin_cpu_supports("avx512f"))
		wipe_upper();
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroall" ::
							 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	else
		wipe_narrow();
}
#elif defined(__aarch64__)
#define WIPE(n) __asm__ volatile("movi v" #n ".16b, #0" :: \
									 : "v" #n)

__attribute__((noinline)) void
registers_wipe(void)
{
	if (BARE)
		return;
	WIPE(0);
	WIPE(1);
	WIPE(2);
	WIPE(3);
	WIPE(4);
	WIPE(5);
	WIPE(6);
	WIPE(7);
	WIPE(16);
	WIPE(17);
	WIPE(18);
	WIPE(19);
	WIPE(20);
	WIPE(21);
	WIPE(22);
	WIPE(23);
	WIPE(24);
	WIPE(25);
	WIPE(26);
	WIPE(27);
	WIPE(28);
	WIPE(29);
	WIPE(30);
	WIPE(31);
}
#else
void
registers_wipe(void)
{
}
#endif
