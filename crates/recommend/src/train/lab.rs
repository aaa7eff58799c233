//! lab
#![allow(missing_docs)]
use std::collections::{HashMap,HashSet};
use super::{baskets::{Baskets,TrainingOrder}, ease::{Ease,Settings}, pairs::Pairs};
use model::ProductId;
use rayon::prelude::*;
pub struct Cart { pub task: String, pub context: Vec<ProductId>, pub targets: Vec<ProductId> }
pub fn topk(mut v: Vec<(f32,u32)>, k: usize) -> Vec<u32> { v.sort_by(|a,b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))); v.truncate(k); v.into_iter().map(|x|x.1).collect() }
pub fn metrics(name:&str, carts:&[(String,Vec<u32>,HashSet<u32>,usize)], ans:&[Vec<u32>]) {
    let mut t: HashMap<&str,(f64,f64,f64,f64)> = HashMap::new();
    for (c,a) in carts.iter().zip(ans) {
        let e=t.entry(c.0.as_str()).or_default(); e.0+=1.0;
        let hits: Vec<usize>=a.iter().enumerate().filter(|(_,x)| c.2.contains(x)).map(|(i,_)|i).collect();
        if !hits.is_empty() {e.1+=1.0}
        e.2+=hits.len() as f64/c.3 as f64;
        let ideal: f64=(0..c.3.min(6)).map(|i|1.0/((i+2) as f64).log2()).sum();
        e.3+=hits.iter().map(|i|1.0/((*i+2) as f64).log2()).sum::<f64>()/ideal;
    }
    let mut s=format!("{name:60}");
    for k in ["loo","half"] { if let Some(e)=t.get(k) { s+=&format!(" {k} {:.4} {:.4} {:.4}",e.1/e.0,e.2/e.0,e.3/e.0);} }
    println!("{s}");
}
pub fn run(orders:&[TrainingOrder], carts:&[Cart], args:&[String]) {
    let b=Baskets::new(orders);
    let item: HashMap<ProductId,u32>=b.products.iter().enumerate().map(|(i,p)|(*p,i as u32)).collect();
    let carts: Vec<_>=carts.iter().filter(|c|c.task!="next").map(|c|(c.task.clone(), c.context.iter().filter_map(|p|item.get(p).copied()).collect::<Vec<u32>>(), c.targets.iter().map(|p|item.get(p).copied().unwrap_or(u32::MAX)).collect::<HashSet<u32>>(), c.targets.len())).collect();
    println!("baskets {} items {} carts {}", b.len(), b.products.len(), carts.len());
    for h in [3000,5000,8000] { let (a,n)=carts.iter().filter(|c|c.0=="loo").fold((0,0),|(a,n),c|(a+c.2.iter().filter(|t|(**t as usize)<h).count(),n+c.2.len())); println!("head {h}: {:.3} of loo targets; count {}", a as f64/n as f64, b.counts.get(h).copied().unwrap_or(0)); }
    let get=|k:&str,d:&str| -> Vec<f32> { args.iter().find_map(|a|a.strip_prefix(&format!("{k}="))).unwrap_or(d).split(',').filter(|x|!x.is_empty()).map(|x|x.parse().unwrap()).collect() };
    for a in get("a","0") {
        let t=std::time::Instant::now();
        let pairs=Pairs::new(&b,b.len(),a);
        for al in get("cos","") { for shrink in get("shrink","0") { for sup in get("sup","1") {
          for keep in get("k","40") { let keep=keep as usize;
            let rows: Vec<Vec<(f32,u32)>>=pairs.map_rows(|i,row| { let mut v=vec![]; let ci=pairs.sums[i]; pairs.row(i,row,|j,s,t| if t as f32>=sup {v.push((s/((ci+shrink).powf(1.0-al)*(pairs.sums[j as usize]+shrink).powf(al)),j))}); v.sort_by(|a,b|b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))); v.truncate(keep); v});
            let ans: Vec<Vec<u32>>=carts.par_iter().map(|c| { let mut s: HashMap<u32,f32>=HashMap::new(); for i in &c.1 { for (w,j) in &rows[*i as usize] { *s.entry(*j).or_default()+=w; } } for i in &c.1 {s.remove(i);} topk(s.into_iter().map(|(j,w)|(w,j)).collect(),6)}).collect();
            metrics(&format!("cos a={a} al={al} sh={shrink} sup={sup} k={keep}"),&carts,&ans);
          }
        }}}
        for head in get("head","3000") { for ridge in get("ridge","200") { for dropout in get("drop","0") { for cen in get("cen","0") {
            let t=std::time::Instant::now();
            let Some(m)=Ease::fit(&pairs,Settings{head:head as usize,ridge,dropout,centred:cen>0.0}) else {println!("not pd"); continue};
            let n=m.len(); let el=t.elapsed();
            let ans: Vec<Vec<u32>>=carts.par_iter().map(|c| { let mut s=vec![0f32;n]; let ic:HashSet<u32>=c.1.iter().copied().collect(); for j in 0..n { let mut x=if cen>0.0 {m.share[j]} else {0.0}; for i in &c.1 { if (*i as usize)<n {x+=m.weight(*i as usize,j);} } s[j]=x; } topk(s.into_iter().enumerate().map(|(j,w)|(w,j as u32)).filter(|x|!ic.contains(&x.1)).collect(),6)}).collect();
            metrics(&format!("ease a={a} head={n} ridge={ridge} drop={dropout} cen={cen} {el:.1?}"),&carts,&ans);
            for mu in get("mu","") { for sh in get("shrink","10") { let sh=sh*pairs.weights.iter().sum::<f32>()/pairs.len as f32; for pull in get("pull","0") {
              let pops: Vec<f32>=m.share.iter().map(|x|x/m.share[0]).collect();
              let full: Vec<(f32,Vec<(f32,u32)>)>=pairs.map_rows(|i,row| { let mut v: Vec<(f32,u32)>=vec![]; let mut a_i=0.0; let ci=pairs.sums[i];
                 let mut cs: HashMap<u32,f32>=HashMap::new();
                 if mu>0.0 { pairs.row(i,row,|j,s,t| if t>=2 {cs.insert(j,mu*s/((ci+sh)*(pairs.sums[j as usize]+sh)).sqrt());}); }
                 if i<n { let mut num=0.0;let mut den=0.0; if pull>0.0 {for j in 0..300.min(n) {num+=m.weight(i,j)*pops[j]; den+=pops[j]*pops[j];} a_i=pull*num/den; }
                   for j in 0..n { let mut w=m.weight(i,j); if j<300 {w-=a_i*pops[j];} if let Some(x)=cs.remove(&(j as u32)) {w+=x;} v.push((w,j as u32)); } }
                 v.extend(cs.into_iter().map(|(j,w)|(w,j)));
                 if v.len()>200 {v.select_nth_unstable_by(200,|a,b|(b.0.abs()).total_cmp(&(a.0.abs())).then(a.1.cmp(&b.1))); v.truncate(200);}
                 v.sort_by(|a,b|(b.0.abs()).total_cmp(&(a.0.abs())).then(a.1.cmp(&b.1))); (a_i,v) });
              for keep in get("k","20,40,100,200") { let keep=keep as usize;
                let ans: Vec<Vec<u32>>=carts.par_iter().map(|c| { let mut s: HashMap<u32,f32>=HashMap::new(); let mut p=0.0; for i in &c.1 { p+=full[*i as usize].0; for (w,j) in full[*i as usize].1.iter().take(keep) { *s.entry(*j).or_default()+=w; } } if pull>0.0 {for j in 0..300 {*s.entry(j as u32).or_default()+=p*pops[j];}} for i in &c.1 {s.remove(i);} topk(s.into_iter().map(|(j,w)|(w,j)).collect(),6)}).collect();
                metrics(&format!("   blend mu={mu} sh={sh} pull={pull} k={keep}"),&carts,&ans);
              } }}}
        }}}}
    }
}
