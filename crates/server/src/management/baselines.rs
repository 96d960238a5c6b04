//! The TCB baselines that a policy can select, as `GET /tcbbaselines/{type}` lists them.

use api::AttestationType;
use api::management::{TcbBaseline, TcbBaselines};
use appraisal::{Baseline, Settings, TcbBaseline as Selected};

use super::ActivePolicy;

/// The provider's own baseline, the published ones, and the one that the policy selects if it is neither.
/// Attestation types other than those of SGX have none.
pub(crate) fn list(
    attestation_type: AttestationType,
    active: &ActivePolicy,
    provider: &Baseline,
) -> TcbBaselines {
    if !matches!(attestation_type, AttestationType::OpenEnclave | AttestationType::SgxEnclave) {
        return TcbBaselines { tcb_baselines: Vec::new() };
    }
    let selected = active.policy.as_ref().and_then(|policy| Settings::of(policy).ok());
    let selected = selected.map(|settings| settings.tcb_baseline);
    let mut tcb_baselines = vec![baseline(Selected::ProviderDefault, provider.min_tcb_evaluation, selected)];
    if let Some(Selected::AtLeast(number)) = selected
        && !PUBLISHED.iter().any(|published| published.number == number)
    {
        tcb_baselines.push(baseline(Selected::AtLeast(number), Some(number), selected));
    }
    for published in &PUBLISHED {
        tcb_baselines.push(baseline(Selected::AtLeast(published.number), Some(published.number), selected));
    }
    TcbBaselines { tcb_baselines }
}

fn baseline(which: Selected, number: Option<u32>, selected: Option<Selected>) -> TcbBaseline {
    let published = PUBLISHED.iter().find(|published| Some(published.number) == number);
    TcbBaseline {
        tcb_identifier: which.identifier(),
        tcb_evaluation_data_number: number,
        tcb_release_date: published.map(|published| published.released),
        minimum_psw_linux_version: published.map(|published| published.psw_linux),
        minimum_psw_windows_version: published.map(|published| published.psw_windows),
        is_selected_tcb: selected == Some(which),
    }
}

struct Published {
    number: u32,
    psw_linux: &'static str,
    psw_windows: &'static str,
    released: &'static str,
}

/// As Azure Attestation documents them ("Custom TCB baseline enforcement"), the newest first.
const PUBLISHED: [Published; 6] = [
    published(15, "2023-02-14T00:00:00", "2.17", "2.16"),
    published(14, "2022-11-08T00:00:00", "2.17", "2.16"),
    published(13, "2022-08-09T00:00:00", "2.17", "2.16"),
    published(12, "2021-11-10T00:00:00", "2.13.3", "2.13.100.2"),
    published(11, "2021-06-08T00:00:00", "2.13.3", "2.13.100.2"),
    published(10, "2020-11-11T00:00:00", "2.9", "2.7.101.2"),
];

const fn published(
    number: u32,
    released: &'static str,
    psw_linux: &'static str,
    psw_windows: &'static str,
) -> Published {
    Published { number, psw_linux, psw_windows, released }
}
